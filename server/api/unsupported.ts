import { notSupported } from '../core/errors';
import { getInstance } from './instances';
import type { Handler, Route } from './route';

/** Parts of BOSH's API that this version refuses, so that no client believes something has happened. */

function refuse(what: string, instead?: string): Handler {
  return async () => {
    throw notSupported(what, instead);
  };
}

/** As `refuse`, once the instance is known to exist. */
function refuseOnInstance(what: string, instead?: string): Handler {
  return async (deps, request) => {
    await getInstance(deps, request, request.param('job'));
    throw notSupported(what, instead);
  };
}

const states = ['Changing the state of instances without a deploy (start, stop, restart, recreate)', "set 'state' in the manifest or deploy with --recreate"] as const;

export const unsupportedRoutes: readonly Route[] = [
  { method: 'PUT', path: '/deployments/:deployment/jobs/:job', media: 'text/yaml', permission: 'dep:admin', handler: refuse(...states) },
  { method: 'PUT', path: '/deployments/:deployment/jobs/:job/:id', media: 'text/yaml', permission: 'dep:admin', handler: refuseOnInstance(...states) },
  { method: 'POST', path: '/deployments/:deployment/instance_groups/:job/:id/actions/:action', permission: 'dep:admin', handler: refuseOnInstance(...states) },
  { method: 'GET', path: '/deployments/:deployment/jobs/:job/:id/logs', permission: 'dep:admin', handler: refuse('Fetching logs') },
  { method: 'POST', path: '/deployments/:deployment/ssh', media: 'application/json', permission: 'dep:admin', handler: refuse('SSH to instances') },
  { method: 'POST', path: '/deployments/:deployment/errands/:errand/runs', permission: 'dep:admin', handler: refuse('Running errands') },
  { method: 'POST', path: '/deployments/:deployment/scans', permission: 'dep:admin', handler: refuse('Cloud check') },
  { method: 'GET', path: '/deployments/:deployment/problems', permission: 'dep:admin', handler: refuse('Cloud check') },
  { method: 'PUT', path: '/deployments/:deployment/problems', media: 'application/json', permission: 'dep:admin', handler: refuse('Cloud check') },
  { method: 'DELETE', path: '/vms/:cid', permission: 'admin', handler: refuse('Deleting single VMs', 'deploy with --recreate or --fix') },
  { method: 'POST', path: '/dynamic_disks', media: 'application/json', permission: 'dyn:create', handler: refuse('Dynamic disks') },
  { method: 'POST', path: '/dynamic_disks/provide', media: 'application/json', permission: 'dyn:provide', handler: refuse('Dynamic disks') },
  { method: 'POST', path: '/dynamic_disks/:name/attach', media: 'application/json', permission: 'dyn:attach', handler: refuse('Dynamic disks') },
  { method: 'POST', path: '/dynamic_disks/:name/detach', permission: 'dyn:detach', handler: refuse('Dynamic disks') },
  { method: 'DELETE', path: '/dynamic_disks/:name', permission: 'dyn:delete', handler: refuse('Dynamic disks') },
];

import * as cleanUp from './clean-up';
import * as configs from './configs';
import * as deploy from './deploy';
import * as deployments from './deployments';
import * as diffs from './diffs';
import * as director from './director';
import * as disks from './disks';
import * as events from './events';
import { info } from './info';
import * as instances from './instances';
import * as links from './links';
import * as networks from './networks';
import * as packages from './packages';
import * as problems from './problems';
import * as releases from './releases';
import type { Route } from './route';
import * as stemcells from './stemcells';
import * as tasks from './tasks';
import * as typedConfigs from './typed-configs';
import * as variables from './variables';
import { unsupportedRoutes } from './unsupported';
import { refuseMultipart, uploadBody, uploadFromUrl } from './uploads';

/**
 * The whole surface of the REST API. The first route that fits counts.
 * Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/.
 */
export const routes: readonly Route[] = [
  { method: 'GET', path: '/info', permission: 'public', handler: info },

  { method: 'GET', path: '/deployments', permission: 'list_deployments', handler: deployments.listAll },
  { method: 'POST', path: '/deployments', media: 'text/yaml', permission: 'create_deployment', handler: deploy.deploy },
  { method: 'GET', path: '/deployments/:deployment', permission: 'dep:read', handler: deployments.show },
  { method: 'DELETE', path: '/deployments/:deployment', permission: 'dep:admin', handler: deploy.deleteDeployment },
  { method: 'POST', path: '/deployments/:deployment/diff', media: 'text/yaml', permission: 'create_deployment', handler: diffs.diffManifest },
  { method: 'GET', path: '/deployments/:deployment/vms', permission: 'dep:read', handler: instances.listAllVms },
  { method: 'GET', path: '/deployments/:deployment/instances', permission: 'dep:read', handler: instances.listAllInstances },
  { method: 'GET', path: '/deployments/:deployment/jobs/:job/:id', permission: 'dep:admin', handler: instances.show },
  { method: 'PUT', path: '/deployments/:deployment/jobs/:job/:id/resurrection', permission: 'dep:admin', handler: instances.resurrectionGone },
  { method: 'PUT', path: '/deployments/:deployment/instance_groups/:group/:id/ignore', media: 'application/json', permission: 'dep:admin', handler: instances.ignore },
  { method: 'PUT', path: '/deployments/:deployment/scan_and_fix', media: 'application/json', permission: 'dep:admin', handler: problems.scanAndFix },
  { method: 'GET', path: '/deployments/:deployment/errands', permission: 'dep:read', handler: deployments.listErrands },
  { method: 'GET', path: '/deployments/:deployment/variables', permission: 'dep:admin', handler: variables.listOfDeployment },
  { method: 'GET', path: '/deployments/:deployment/certificate_expiry', permission: 'dep:read', handler: variables.certificateExpiry },
  { method: 'GET', path: '/deployments/:deployment/snapshots', permission: 'dep:admin', handler: disks.listSnapshotsOfDeployment },
  { method: 'POST', path: '/deployments/:deployment/snapshots', permission: 'dep:admin', handler: disks.snapshotDeployment },
  { method: 'DELETE', path: '/deployments/:deployment/snapshots', permission: 'dep:admin', handler: disks.removeSnapshots },
  { method: 'DELETE', path: '/deployments/:deployment/snapshots/:cid', permission: 'dep:admin', handler: disks.removeSnapshot },
  { method: 'GET', path: '/deployments/:deployment/jobs/:job/:id/snapshots', permission: 'dep:admin', handler: disks.listSnapshotsOfInstance },
  { method: 'POST', path: '/deployments/:deployment/jobs/:job/:id/snapshots', permission: 'dep:admin', handler: disks.snapshotInstance },

  { method: 'GET', path: '/tasks', permission: 'list_tasks', handler: tasks.listAll },
  { method: 'POST', path: '/tasks/cancel', media: 'application/json', permission: 'admin', handler: tasks.cancelMany },
  { method: 'GET', path: '/tasks/:task', permission: 'list_tasks', handler: tasks.show },
  { method: 'GET', path: '/tasks/:task/output', permission: 'task:read', handler: tasks.output },
  { method: 'DELETE', path: '/task/:id', permission: 'admin', handler: tasks.cancel },

  { method: 'GET', path: '/releases', permission: 'read_releases', handler: releases.listAll },
  { method: 'POST', path: '/releases', media: 'application/x-compressed', permission: 'upload_releases', handler: uploadBody('release') },
  { method: 'POST', path: '/releases', media: 'application/json', permission: 'upload_releases', handler: uploadFromUrl('release') },
  { method: 'POST', path: '/releases/export', media: 'application/json', permission: 'admin', handler: releases.exportRelease },
  { method: 'POST', path: '/releases', media: 'multipart/form-data', permission: 'upload_releases', handler: refuseMultipart },
  { method: 'GET', path: '/releases/:name', permission: 'read_releases', handler: releases.show },
  { method: 'DELETE', path: '/releases/:name', permission: 'admin', handler: releases.remove },
  { method: 'POST', path: '/packages/matches', media: 'text/yaml', permission: 'admin', handler: packages.matches },
  { method: 'POST', path: '/packages/matches_compiled', media: 'text/yaml', permission: 'admin', handler: packages.matchesCompiled },
  { method: 'GET', path: '/packages/blobs/:id', permission: 'read', handler: packages.showBlob },
  { method: 'GET', path: '/jobs', permission: 'read', handler: releases.listJobs },

  { method: 'GET', path: '/stemcells', permission: 'read_stemcells', handler: stemcells.listAll },
  { method: 'POST', path: '/stemcells', media: 'application/x-compressed', permission: 'upload_stemcells', handler: uploadBody('stemcell') },
  { method: 'POST', path: '/stemcells', media: 'application/json', permission: 'upload_stemcells', handler: uploadFromUrl('stemcell') },
  { method: 'POST', path: '/stemcells', media: 'multipart/form-data', permission: 'upload_stemcells', handler: refuseMultipart },
  { method: 'DELETE', path: '/stemcells/:name/:version', permission: 'admin', handler: stemcells.remove },
  { method: 'POST', path: '/stemcell_uploads', permission: 'read_stemcells', handler: stemcells.uploadNeeded },

  { method: 'GET', path: '/configs', permission: 'list_configs', handler: configs.listAll },
  { method: 'GET', path: '/configs/:id', permission: 'read', handler: configs.show },
  { method: 'POST', path: '/configs', media: 'application/json', permission: 'update_configs', handler: configs.create },
  { method: 'POST', path: '/configs/diff', media: 'application/json', permission: 'list_configs', handler: diffs.diffConfigs },
  { method: 'DELETE', path: '/configs', permission: 'update_configs', handler: configs.removeAll },
  { method: 'DELETE', path: '/configs/:id', permission: 'update_configs', handler: configs.remove },
  { method: 'GET', path: '/cloud_configs', permission: 'read', handler: typedConfigs.list('cloud') },
  { method: 'POST', path: '/cloud_configs', media: 'text/yaml', permission: 'admin', handler: typedConfigs.create('cloud') },
  { method: 'POST', path: '/cloud_configs/diff', media: 'text/yaml', permission: 'admin', handler: diffs.diffTypedConfig('cloud') },
  { method: 'GET', path: '/runtime_configs', permission: 'read', handler: typedConfigs.list('runtime') },
  { method: 'POST', path: '/runtime_configs', media: 'text/yaml', permission: 'admin', handler: typedConfigs.create('runtime') },
  { method: 'POST', path: '/runtime_configs/diff', media: 'text/yaml', permission: 'admin', handler: diffs.diffTypedConfig('runtime') },
  { method: 'GET', path: '/cpi_configs', permission: 'admin', handler: typedConfigs.list('cpi') },
  { method: 'POST', path: '/cpi_configs', media: 'text/yaml', permission: 'admin', handler: typedConfigs.create('cpi') },
  { method: 'POST', path: '/cpi_configs/diff', media: 'text/yaml', permission: 'admin', handler: diffs.diffTypedConfig('cpi') },
  { method: 'GET', path: '/deployment_configs', permission: 'list_deployments', handler: deployments.listConfigsOf },

  { method: 'GET', path: '/events', permission: 'read_events', handler: events.listAll },
  { method: 'POST', path: '/events', media: 'application/json', permission: 'admin', handler: events.create },
  { method: 'GET', path: '/events/:id', permission: 'admin', handler: events.show },

  { method: 'GET', path: '/locks', permission: 'read', handler: director.locks },
  { method: 'GET', path: '/resources/:id', permission: 'admin', handler: director.resource },
  { method: 'POST', path: '/cleanup', media: 'application/json', permission: 'admin', handler: cleanUp.cleanUp },
  { method: 'GET', path: '/cleanup/dryrun', permission: 'admin', handler: cleanUp.showSelection },
  { method: 'GET', path: '/resurrection', permission: 'admin', handler: director.resurrection },
  { method: 'PUT', path: '/resurrection', media: 'application/json', permission: 'admin', handler: director.pauseResurrection },
  { method: 'GET', path: '/director/certificate_expiry', permission: 'read', handler: director.certificateExpiry },
  { method: 'GET', path: '/disks', permission: 'admin', handler: disks.listOrphans },
  { method: 'DELETE', path: '/disks/:cid', permission: 'admin', handler: disks.remove },
  { method: 'PUT', path: '/disks/:cid/attachments', permission: 'admin', handler: disks.attach },
  { method: 'GET', path: '/orphan_disks', permission: 'admin', handler: disks.listOrphans },
  { method: 'DELETE', path: '/orphan_disks/:cid', permission: 'admin', handler: disks.removeOrphan },
  { method: 'GET', path: '/orphaned_vms', permission: 'admin', handler: director.orphanedVms },
  { method: 'GET', path: '/networks', permission: 'admin', handler: networks.list },
  { method: 'DELETE', path: '/networks/:name', permission: 'admin', handler: networks.remove },
  { method: 'GET', path: '/dynamic_disks', permission: 'dyn:list', handler: director.emptyList },
  { method: 'GET', path: '/deployed_variables/:name', permission: 'list_deployments', handler: variables.listDeployments },

  { method: 'GET', path: '/link_providers', permission: 'read_link', handler: links.providers },
  { method: 'GET', path: '/link_consumers', permission: 'read_link', handler: links.consumers },
  { method: 'GET', path: '/links', permission: 'read_link', handler: links.list },
  { method: 'POST', path: '/links', media: 'application/json', permission: 'create_link', handler: links.create },
  { method: 'DELETE', path: '/links/:id', permission: 'delete_link', handler: links.remove },
  { method: 'GET', path: '/link_address', permission: 'read_link', handler: links.address },

  ...unsupportedRoutes,
];

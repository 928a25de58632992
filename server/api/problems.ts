import { z } from 'zod';
import { DirectorError, code } from '../core/errors';
import { isResurrectionPaused, listInstances } from '../instances/store';
import { scanAndFixTask } from '../problems/request';
import { acceptTask } from './accept-task';
import type { ApiDeps } from './deps';
import type { Reply } from './reply';
import { deploymentOf, type ApiRequest } from './route';

/** Cloud check; of it so far what the resurrection of VMs needs. */

const resurrectionPaused = 410004;

const scanAndFixBody = z.object({ jobs: z.record(z.string(), z.array(z.union([z.string().min(1), z.int().min(0)]))) });

/**
 * `PUT /deployments/:deployment/scan_and_fix`.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/deployments_controller.rb.
 */
export async function scanAndFix(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const { jobs } = await request.body.jsonOf(scanAndFixBody);
  const deployment = deploymentOf(request);
  if (await isResurrectionPaused(deps.db)) throw new DirectorError(resurrectionPaused, 'Resurrector is paused');
  const instances = await listInstances(deps.db, deployment.id);
  if (instances.every((instance) => instance.ignore)) throw new DirectorError(code.instanceNotFound, `Deployment '${deployment.name}' has no instance that is not ignored`);
  const ids = Object.fromEntries(Object.entries(jobs).map(([group, list]) => [group, list.map(String)]));
  return acceptTask(deps, request, async () => scanAndFixTask({ deployment: deployment.name, jobs: ids, fixStateful: deps.autoFixStatefulNodes ?? true }, deployment.teams));
}

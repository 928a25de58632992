import { DirectorError, code } from '../core/errors';
import type { DeleteDeploymentPayload, DeployFlags } from '../task-types/deployment-payloads';
import { orderDeploy } from '../task-types/order-deploy';
import { acceptTask } from './accept-task';
import type { ApiDeps } from './deps';
import type { Reply } from './reply';
import { deploymentOf, flag, parameter, type ApiRequest } from './route';

/**
 * `POST /deployments`: records the deployment and the configs it will use, and enqueues the deploy.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/deployments_controller.rb.
 */
export async function deploy(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const manifestText = await request.body.text();
  const flags = deployFlags(request);
  const context = parameter(request, 'context');
  return acceptTask(deps, request, async (tx) => ({ ...(await orderDeploy(tx, { principal: request.principal, directorUuid: deps.director.uuid, manifestText, flags, context })), keepsContext: true }));
}

function deployFlags(request: ApiRequest): DeployFlags {
  const recreate = flag(request, 'recreate');
  const skipDrain = parameter(request, 'skip_drain');
  const canaries = amount(request, 'canaries');
  const maxInFlight = amount(request, 'max_in_flight');
  const before = createdBefore(request, recreate);
  return {
    recreate,
    ...(before === undefined ? {} : { recreateVmsCreatedBefore: before }),
    recreatePersistentDisks: flag(request, 'recreate_persistent_disks'),
    fix: flag(request, 'fix'),
    ...(skipDrain === undefined ? {} : { skipDrain: skipDrain === '*' ? ('*' as const) : skipDrain.split(',').map((group) => group.trim()) }),
    ...(canaries === undefined ? {} : { canaries }),
    ...(maxInFlight === undefined ? {} : { maxInFlight }),
    dryRun: flag(request, 'dry_run'),
    forceLatestVariables: flag(request, 'force_latest_variables'),
  };
}

function amount(request: ApiRequest, name: string): string | undefined {
  const value = parameter(request, name);
  if (value === undefined || /^(?:\d{1,6}%|[-+]?\d{1,6})$/.test(value)) return value;
  throw new DirectorError(code.validationInvalidValue, `Invalid value for ${name}: '${value}'; it should be a number or a percentage such as 20%`);
}

const rfc3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

function createdBefore(request: ApiRequest, recreate: boolean): string | undefined {
  const value = parameter(request, 'recreate_vms_created_before');
  if (value === undefined) return undefined;
  if (!recreate) throw new DirectorError(code.validationInvalidValue, 'Must pass recreate=true when specifying recreate_vms_created_before');
  // An unescaped plus of the time zone arrives as a blank.
  const timestamp = value.replace(/ (?=\d\d:\d\d$)/, '+');
  if (!rfc3339.test(timestamp) || Number.isNaN(Date.parse(timestamp))) throw new DirectorError(code.validationInvalidValue, `Invalid RFC 3339 timestamp for recreate_vms_created_before: ${value}`);
  return timestamp;
}

/** `DELETE /deployments/:deployment`. */
export async function deleteDeployment(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const deployment = deploymentOf(request);
  const payload: DeleteDeploymentPayload = { deployment: deployment.name, force: flag(request, 'force') };
  return acceptTask(deps, request, async () => ({
    type: 'delete_deployment', lane: 'normal', description: `delete deployment ${deployment.name}`, deployment: deployment.name, teams: deployment.teams, payload, keepsContext: true,
    event: { action: 'delete', objectType: 'deployment', objectName: deployment.name },
  }));
}

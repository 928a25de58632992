import { z } from 'zod';
import type { Tx } from '../../db/client';
import { requireAccess, teamsWith } from '../auth/permissions';
import { listApplicable, listConfigsById } from '../configs/store';
import { DirectorError, code } from '../core/errors';
import { namePattern } from '../core/names';
import { parseManifestYaml, type Hash } from '../core/yaml';
import { ensureDeployment, type Deployment } from '../deployments/store';
import type { DeleteDeploymentPayload, UpdateDeploymentPayload } from '../task-types/deployment-payloads';
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
  const name = deploymentName(parseManifestYaml(manifestText));
  const flags = deployFlags(request);
  const context = parameter(request, 'context');
  return acceptTask(deps, request, async (tx) => {
    const deployment = await ensureDeployment(tx, { name, teams: teamsWith(request.principal, 'admin') });
    if (!deployment.created) requireAccess(request.principal, { permission: 'dep:admin', directorUuid: deps.director.uuid, teams: deployment.teams });
    const configIds = context === undefined ? await currentConfigIds(tx, deployment) : await chosenConfigIds(tx, deployment, context);
    const payload: UpdateDeploymentPayload = { deployment: name, manifestText, configIds, ...flags };
    return {
      type: 'update_deployment', lane: 'normal', description: flags.dryRun ? 'create deployment (dry run)' : 'create deployment', deployment: name, teams: deployment.teams, payload, keepsContext: true,
      event: { action: deployment.deployedBefore ? 'update' : 'create', objectType: 'deployment', objectName: name, context: flags.dryRun ? { dry_run: true } : {} },
    };
  });
}

/** Name of the deployment in a manifest; throws 40001 without one. */
export function deploymentName(manifest: Hash): string {
  const { name } = manifest;
  if (name === undefined || name === null || name === '') throw new DirectorError(code.validationMissingField, "Deployment manifest must have a 'name' key");
  const text = typeof name === 'number' ? String(name) : name;
  if (typeof text === 'string' && namePattern.test(text)) return text;
  throw new DirectorError(code.validationInvalidValue, `Invalid deployment name ${JSON.stringify(name)}: use letters, digits and the characters - _ + .`);
}

type Flags = Omit<UpdateDeploymentPayload, 'deployment' | 'manifestText' | 'configIds'>;

function deployFlags(request: ApiRequest): Flags {
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
  if (value === undefined || /^\d{1,6}%?$/.test(value)) return value;
  throw new DirectorError(code.validationInvalidValue, `Invalid value for ${name}: '${value}'; it should be a number or a percentage such as 20%`);
}

const rfc3339 = /^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/;

function createdBefore(request: ApiRequest, recreate: boolean): string | undefined {
  const value = parameter(request, 'recreate_vms_created_before');
  if (value === undefined) return undefined;
  if (!recreate) throw new DirectorError(code.validationInvalidValue, 'recreate_vms_created_before needs recreate=true');
  // An unescaped plus of the time zone arrives as a blank.
  const timestamp = value.replace(/ (?=\d\d:\d\d$)/, '+');
  if (!rfc3339.test(timestamp) || Number.isNaN(Date.parse(timestamp))) throw new DirectorError(code.validationInvalidValue, `Invalid RFC 3339 timestamp for recreate_vms_created_before: ${value}`);
  return timestamp;
}

async function currentConfigIds(tx: Tx, deployment: Deployment): Promise<UpdateDeploymentPayload['configIds']> {
  const ids = async (type: string) => (await listApplicable(tx, type, deployment.teams)).map((config) => config.id);
  return { cloud: await ids('cloud'), runtime: await ids('runtime') };
}

const contextSchema = z.object({ cloud_config_ids: z.array(z.int()).nullish(), runtime_config_ids: z.array(z.int()).nullish() });

/** The configs of a diff that the operator has confirmed. Throws 190025 for ids that are unknown, deleted or of other teams. */
async function chosenConfigIds(tx: Tx, deployment: Deployment, context: string): Promise<UpdateDeploymentPayload['configIds']> {
  const chosen = contextSchema.safeParse(parseContext(context));
  if (!chosen.success) throw invalidReference('it should look like {"cloud_config_ids":[1],"runtime_config_ids":[2]}');
  const wanted = { cloud: chosen.data.cloud_config_ids ?? [], runtime: chosen.data.runtime_config_ids ?? [] };
  const known = new Map((await listConfigsById(tx, [...wanted.cloud, ...wanted.runtime])).map((config) => [config.id, config]));
  for (const type of ['cloud', 'runtime'] as const) {
    for (const id of wanted[type]) {
      const config = known.get(id);
      const usable = config && config.type === type && !config.deleted && (config.team === undefined || deployment.teams.includes(config.team));
      if (!usable) throw invalidReference();
    }
  }
  return wanted;
}

function parseContext(context: string): unknown {
  try {
    return JSON.parse(context);
  } catch {
    return undefined;
  }
}

function invalidReference(hint?: string): DirectorError {
  return new DirectorError(code.deploymentInvalidConfigReference, `Context includes invalid config ID${hint ? `: ${hint}` : ''}`);
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

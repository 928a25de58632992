import { z } from 'zod';
import type { Db, Tx } from '../../db/client';
import { requireAccess, teamsWith, type Principal } from '../auth/permissions';
import { listApplicable, listConfigsById } from '../configs/store';
import { DirectorError, code } from '../core/errors';
import { namePattern } from '../core/names';
import { parseManifestYaml, type Hash } from '../core/yaml';
import { ensureDeployment, pinConfigs, type Deployment } from '../deployments/store';
import type { NewAuditEvent } from '../events/store';
import type { NewTask } from '../tasks/queue';
import type { DeployFlags, UpdateDeploymentPayload } from './deployment-payloads';

/** From an upload that asks for a deploy to its task, whoever takes the upload. */

/** A deploy as somebody asks for it. */
export interface DeployWish {
  principal: Principal;
  directorUuid: string;
  /** YAML as uploaded. */
  manifestText: string;
  flags: DeployFlags;
  /** The configs to use, as JSON of a diff's context; undefined: those that apply now. */
  context: string | undefined;
}

/** The task of a deploy and its audit event; the user and the task's id are filled in by whoever enqueues it. */
export interface DeployWork extends Omit<NewTask, 'user'> {
  deployment: string;
  payload: UpdateDeploymentPayload;
  event: Pick<NewAuditEvent, 'action' | 'objectType' | 'objectName' | 'context'>;
}

/**
 * Records the deployment and pins the configs it will use. Throws what is wrong with name, configs or rights, and then nothing may be kept.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/deployments_controller.rb.
 */
export async function orderDeploy(tx: Tx, { principal, directorUuid, manifestText, flags, context }: DeployWish): Promise<DeployWork> {
  const name = deploymentName(parseManifestYaml(manifestText));
  const deployment = await ensureDeployment(tx, { name, teams: teamsWith(principal, 'admin') });
  if (!deployment.created) requireAccess(principal, { permission: 'dep:admin', directorUuid, teams: deployment.teams });
  const configIds = context === undefined ? await currentConfigIds(tx, deployment) : await chosenConfigIds(tx, deployment, context);
  if (deployment.created) await pinConfigs(tx, deployment.id, [...configIds.cloud, ...configIds.runtime]);
  return {
    type: 'update_deployment', lane: 'normal', description: flags.dryRun ? 'create deployment (dry run)' : 'create deployment', deployment: name, teams: deployment.teams,
    payload: { deployment: name, manifestText, configIds, ...flags },
    event: { action: deployment.deployedBefore ? 'update' : 'create', objectType: 'deployment', objectName: name, context: flags.dryRun ? { dry_run: true } : {} },
  };
}

/** Name of the deployment in a manifest; throws 40001 without one. */
export function deploymentName(manifest: Hash): string {
  const { name } = manifest;
  if (name === undefined || name === null || name === '') throw new DirectorError(code.validationMissingField, "Deployment manifest must have a 'name' key");
  const text = typeof name === 'number' ? String(name) : name;
  if (typeof text === 'string' && namePattern.test(text)) return text;
  throw new DirectorError(code.validationInvalidValue, `Invalid deployment name ${JSON.stringify(name)}: use letters, digits and the characters - _ + .`);
}

/** Configs that a deploy would use now. */
export async function currentConfigIds(tx: Db, deployment: Pick<Deployment, 'teams'>): Promise<UpdateDeploymentPayload['configIds']> {
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

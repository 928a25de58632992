import { isAllowed, type Principal } from '../auth/permissions';
import { isHash } from '../core/yaml';
import { findManifest, listDeployments, listJobTargets, listUsedConfigs } from '../deployments/store';
import type { ApiDeps } from './deps';
import { presentDeployment } from './present';
import { json, type Reply } from './reply';
import { deploymentOf, flag, type ApiRequest } from './route';

export async function listAll(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const deployments = await listDeployments(deps.db, {
    configs: !flag(request, 'exclude_configs'),
    releases: !flag(request, 'exclude_releases'),
    stemcells: !flag(request, 'exclude_stemcells'),
    lock: !flag(request, 'exclude_lock'),
  });
  return json(deployments.filter(mayRead(deps, request.principal)).map(presentDeployment));
}

function mayRead(deps: ApiDeps, principal: Principal): (owned: { teams: readonly string[] }) => boolean {
  return ({ teams }) => isAllowed(principal, { permission: 'dep:read', directorUuid: deps.director.uuid, teams });
}

/** The manifest as uploaded; null until a deploy has succeeded. */
export async function show(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const { text } = await findManifest(deps.db, deploymentOf(request).id);
  return json({ manifest: text ?? null });
}

/** The configs that deployments were last deployed with; `id` is the deployment's. */
export async function listConfigsOf(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const used = await listUsedConfigs(deps.db, request.query.getAll('deployment[]'));
  return json(
    used.filter(mayRead(deps, request.principal)).map((row) => ({ id: row.deploymentId, deployment: row.deployment, config: { id: row.configId, type: row.type, name: row.name } })),
  );
}

const errandTargets = ['bin/run', 'bin/run.ps1'];

/** What `run-errand` can name: groups of the errand lifecycle, then jobs with an errand script. */
export async function listErrands(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const deployment = deploymentOf(request);
  const { resolved } = await findManifest(deps.db, deployment.id);
  const groups = listOf(resolved?.instance_groups);
  const runnable = new Set((await listJobTargets(deps.db, deployment.id)).filter((job) => job.targets.some((target) => errandTargets.includes(target))).map((job) => `${job.release}/${job.job}`));
  const errandGroups = groups.filter((group) => group.lifecycle === 'errand').map((group) => String(group.name));
  const errandJobs = groups.flatMap((group) => listOf(group.jobs)).filter((job) => runnable.has(`${String(job.release)}/${String(job.name)}`)).map((job) => String(job.name));
  return json([...new Set([...errandGroups, ...errandJobs])].map((name) => ({ name })));
}

function listOf(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isHash) : [];
}

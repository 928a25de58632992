import { randomUUID } from 'node:crypto';
import { code, DirectorError } from '../core/errors';
import { listUsedConfigs } from '../deployments/store';
import { buildPlan } from '../plan/build-plan';
import { requirementsOf } from '../plan/packages';
import type { PlannedStemcell } from '../plan/stemcells';
import type { Plan } from '../plan/types';
import { partsToExport, type ExportedParts } from '../releases/export-contents';
import type { TaskContext } from '../tasks/context';
import { loadPlanInput } from './load';
import type { DeployDeps } from './ports';
import type { DeploymentRow } from './store';
import type { DeploymentVariables } from './variables';
import { calculateResources } from './vm-resources';

export interface ExportOrder {
  deployment: DeploymentRow & { manifest: Record<string, unknown> };
  release: { name: string; version: string };
  stemcell: PlannedStemcell;
  /** Names; empty: all. */
  jobs: readonly string[];
}

/**
 * What has to be compiled so that a release can be exported: a plan of the deployment as it was last deployed, with the packages of the
 * exported jobs in place of its own. Only its packages and compilation VMs are of use; nothing of it is bound and no agent is asked.
 * Throws as a deploy of that manifest does, and 140029 for a job that the release does not have.
 */
export async function planExport(ctx: TaskContext, deps: DeployDeps, order: ExportOrder & { variables: DeploymentVariables }): Promise<{ plan: Plan; parts: ExportedParts }> {
  const { deployment, release: wanted, stemcell, jobs } = order;
  const used = await listUsedConfigs(deps.db, [deployment.name]);
  const ids = (type: string) => used.filter((config) => config.type === type).map((config) => config.configId);
  const input = await loadPlanInput(ctx, deps, {
    deployment, manifest: deployment.manifest, configIds: { cloud: ids('cloud'), runtime: ids('runtime') }, request: {}, variables: order.variables, newUuid: randomUUID, asksAgents: false,
    calculateResources: (resources) => calculateResources(ctx, deps, resources),
  });
  const plan = buildPlan(input);
  const release = plan.releases.find(({ name }) => name === wanted.name);
  if (!release) throw new DirectorError(code.releaseNotMatchingManifest, `Release version '${wanted.name}/${wanted.version}' not found in deployment '${deployment.name}' manifest`);
  const parts = partsToExport(release, jobs);
  return { plan: { ...plan, packages: requirementsOf(parts.packages.map((pkg) => ({ package: pkg, release, stemcell })), input.state.compiledPackages) }, parts };
}

import { differingPaths } from '../core/compare';
import { isDirectorError, code } from '../core/errors';
import { comparableNetworks, presentCloudProperties, presentNetworks } from '../plan/changes';
import type { InstancePlan, Plan } from '../plan/types';
import type { ResolvedDifferences } from '../plan/variable-types';
import { findPlaceholders } from '../variables/placeholders';
import type { DeploymentVariables } from './variables';

/**
 * How the documents of instances that hold placeholders differ from what their VMs were made with, each side with the values of its own
 * set of variables. Only dotted paths come out. Undefined when there is nothing that planning would not see by itself.
 * A value of the past that cannot be had any more counts as changed; one of the present is an error (540001).
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/config_server/client.rb (interpolated_versioned_variables_changed?).
 */
export async function compareValues(plan: Plan, variables: DeploymentVariables): Promise<Map<string, ResolvedDifferences> | undefined> {
  const found = new Map<string, ResolvedDifferences>();
  for (const instance of plan.groups.flatMap((group) => group.instances)) {
    const differences = await compareInstance(instance, variables);
    if (differences) found.set(instance.uuid, differences);
  }
  return found.size > 0 ? found : undefined;
}

/**
 * Fixes the versions of everything that VMs of the plan are made with, whether they are made now or again in a year, and finds what is
 * missing before anything is done.
 */
export async function pinVersions(plan: Plan, { own }: DeploymentVariables): Promise<void> {
  const { cloudProperties, env, network } = plan.compilation;
  await own.versionsIn([plan.groups.flatMap((group) => group.instances).map((instance) => [instance.cloudProperties, instance.networks, instance.env, instance.disks.map((disk) => disk.cloudProperties)]), cloudProperties, env, network]);
}

async function compareInstance({ existing, cloudProperties, networks, disks }: InstancePlan, variables: DeploymentVariables): Promise<ResolvedDifferences | undefined> {
  if (!existing || existing.ignore) return undefined;
  const compare = (present: unknown, wanted: unknown) => comparePair({ present, wanted }, variables, existing.variableSetId ?? null);
  const ofCloudProperties = await compare(presentCloudProperties(existing), cloudProperties);
  const ofNetworks = await compare(comparableNetworks(presentNetworks(existing) ?? {}), comparableNetworks(networks));
  const ofDisks = new Map<string, readonly string[]>();
  for (const { name, cloudProperties: wanted } of disks) {
    const present = existing.persistentDisks.find((disk) => disk.active && disk.name === name);
    const paths = present && (await compare(present.cloudProperties, wanted));
    if (paths) ofDisks.set(name, paths);
  }
  if (!ofCloudProperties && !ofNetworks && ofDisks.size === 0) return undefined;
  return { ...(ofCloudProperties ? { cloudProperties: ofCloudProperties } : {}), ...(ofNetworks ? { networks: ofNetworks } : {}), ...(ofDisks.size > 0 ? { disks: ofDisks } : {}) };
}

async function comparePair({ present, wanted }: { present: unknown; wanted: unknown }, variables: DeploymentVariables, setId: number | null): Promise<string[] | undefined> {
  if (findPlaceholders([present, wanted]).length === 0) return undefined;
  const now = await variables.own.resolve(wanted);
  const before = await (await variables.inSet(setId)).resolve(present).catch((error: unknown) => {
    if (!isDirectorError(error) || (error.code !== code.configServerFetchError && error.code !== code.configServerInconsistentVariableState)) throw error;
    return undefined;
  });
  return differingPaths(before, now);
}

import { z } from 'zod';
import { outcomeOf } from '../plan/outcome';
import { changeKinds, type CompleteInstancePlan, type ObsoletePlan, type Plan } from '../plan/types';

/** A plan as clients see it: what will happen to which instance and why, and never a value of a property. */

export const outcome = z.enum(['create', 'recreate', 'update', 'delete', 'none', 'ignored']);

const version = z.object({ name: z.string(), version: z.string() });

/** Addresses of new instances are tentative: another deploy may be quicker. */
const address = z.object({
  network: z.string(),
  /** Without prefix length. */
  ip: z.string(),
  fate: z.enum(['kept', 'new', 'released']),
  static: z.boolean(),
});

export const plannedInstance = z.object({
  /** Of a new instance it is only known when the deploy has begun. */
  uuid: z.string().optional(),
  group: z.string(),
  index: z.int(),
  az: z.string().optional(),
  bootstrap: z.boolean(),
  outcome,
  /** What it shall be afterwards; absent when it is deleted. */
  wanted: z.enum(['started', 'stopped', 'detached']).optional(),
  /** Why: BOSH's kinds of changes in its order, with sentences. */
  changes: z.array(z.object({ kind: z.enum(changeKinds), reasons: z.array(z.string()) })),
  /** Cloud id of the VM that it has now. */
  vm: z.string().optional(),
  addresses: z.array(address),
  /** Its agent was asked and gave no answer. */
  agentSilent: z.boolean(),
  /** Stopped without pre-stop and drain. */
  skipDrain: z.boolean(),
});

export const deployPreview = z.object({
  deployment: z.string(),
  /** Nothing was ever deployed successfully under this name. */
  firstDeploy: z.boolean(),
  /** Pins the configs of this preview, for `start`. */
  context: z.string(),
  diff: z.array(z.tuple([z.string(), z.enum(['added', 'removed']).nullable()])),
  releases: z.array(version),
  stemcells: z.array(version.extend({ alias: z.string() })),
  /** AZs of the instances, in the cloud config's order; '' stands for none. */
  azs: z.array(z.string()),
  /** In the order of the manifest; groups that it has no more come last. */
  groups: z.array(z.object({ name: z.string(), removed: z.boolean(), instances: z.array(plannedInstance) })),
  /** Packages that have to be compiled, dependencies first. */
  packages: z.array(version.extend({ release: z.string(), stemcell: z.string() })),
  warnings: z.array(z.string()),
  /** A task that holds the deployment's lock now: what it does changes the plan. */
  busy: z.object({ taskId: z.int(), description: z.string(), since: z.date() }).optional(),
});

export type DeployPreview = z.infer<typeof deployPreview>;
type PlannedInstance = z.infer<typeof plannedInstance>;

/** The part of a preview that the plan decides. */
export function viewPlan(plan: Plan<CompleteInstancePlan>): Omit<DeployPreview, 'context' | 'diff' | 'busy'> {
  const groups = [
    ...plan.groups.map((group) => ({ name: group.name, removed: false, instances: [...group.instances.map(planned), ...group.obsolete.map(obsolete)].toSorted((a, b) => a.index - b.index) })),
    ...removedGroups(plan.removed),
  ];
  const used = new Set(groups.flatMap((group) => group.instances.map((instance) => instance.az ?? '')));
  return {
    deployment: plan.deployment, firstDeploy: plan.firstDeploy, groups, warnings: [...plan.warnings],
    releases: plan.releases.map(({ name, version: number }) => ({ name, version: number })),
    stemcells: plan.stemcells.map(({ alias, name, version: number }) => ({ alias, name, version: number })),
    azs: [...plan.azs.map((az) => az.name).filter((name) => used.delete(name)), ...[...used].toSorted()],
    packages: plan.packages.filter((one) => !one.compiled).map((one) => ({ name: one.package.name, version: one.package.version, release: `${one.release.name}/${one.release.version}`, stemcell: `${one.stemcell.os}/${one.stemcell.version}` })),
  };
}

function removedGroups(removed: readonly ObsoletePlan[]): DeployPreview['groups'] {
  const names = [...new Set(removed.map((one) => one.group))];
  return names.map((name) => ({ name, removed: true, instances: removed.filter((one) => one.group === name).map(obsolete) }));
}

function planned(instance: CompleteInstancePlan): PlannedInstance {
  const { existing, reservations } = instance;
  const fates = [['kept', reservations.keep], ['new', reservations.make], ['released', reservations.release]] as const;
  return {
    uuid: existing?.uuid, group: instance.group, index: instance.index, az: instance.az ?? undefined, bootstrap: instance.bootstrap, outcome: outcomeOf(instance), wanted: instance.desiredState,
    changes: instance.changes.map(({ kind, reasons }) => ({ kind, reasons: [...reasons] })), vm: existing?.vm?.cid, skipDrain: instance.skipDrain,
    agentSilent: existing?.agentState?.silent === true || existing?.agentState?.jobState === 'unresponsive',
    addresses: fates.flatMap(([fate, held]) => held.map((one) => ({ network: one.network, ip: ipOf(one.address), fate, static: one.static }))),
  };
}

function obsolete({ instance, group, skipDrain }: ObsoletePlan): PlannedInstance {
  return {
    uuid: instance.uuid, group, index: instance.index, az: instance.az ?? undefined, bootstrap: instance.bootstrap, outcome: 'delete', changes: [], vm: instance.vm?.cid,
    agentSilent: false, skipDrain, addresses: instance.reservations.map((one) => ({ network: one.network, ip: ipOf(one.address), fate: 'released', static: one.static })),
  };
}

/** Single addresses without their length; blocks with it. */
function ipOf(address: string): string {
  return address.replace(/\/(32|128)$/, '');
}

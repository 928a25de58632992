import type { InstancePlan } from '../plan/types';

/** What of an update decides how the audit trail tells of it. */
type ToldUpdate = Pick<InstancePlan, 'isNew' | 'az' | 'desiredState' | 'needsRecreate' | 'changes'>;

/**
 * Action and context of an update's events. Updates that only start or stop jobs are called so and tell nothing else.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/instance_updater/update_procedure.rb.
 */
export function updateEvent(instance: ToldUpdate, hasVm: boolean): { action: string; context: Record<string, unknown> } {
  const changes = instance.changes.map((change) => change.kind);
  const only = changes.length === 1 ? changes[0] : undefined;
  if (only === 'restart') return { action: 'restart', context: {} };
  if (only === 'state') return { action: instance.desiredState === 'started' ? 'start' : 'stop', context: {} };
  return {
    action: instance.isNew || !hasVm ? 'create' : instance.needsRecreate ? 'recreate' : 'update',
    context: { ...(instance.az === null ? {} : { az: instance.az }), ...(instance.isNew || only === 'recreate' ? {} : { changes }) },
  };
}

import type { InstancePlan } from './types';

/** What becomes of an instance: `create` gives it its VM; `update` keeps the VM; `delete` is only for those that a plan has no more. */
export type Outcome = 'create' | 'recreate' | 'update' | 'delete' | 'none' | 'ignored';

/** The outcome for an instance that shall exist. */
export function outcomeOf(instance: InstancePlan): Exclude<Outcome, 'delete'> {
  if (instance.existing?.ignore) return 'ignored';
  // An errand that waits for its run.
  if (instance.dormant) return 'none';
  if (instance.isNew || instance.needsVm) return 'create';
  if (instance.needsRecreate) return 'recreate';
  return instance.changes.length > 0 || instance.lifecycle === 'errand' ? 'update' : 'none';
}

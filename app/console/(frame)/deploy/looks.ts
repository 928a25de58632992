import { createLucideIcon, Equal, EyeOff, Minus, Plus, RotateCw } from 'lucide-react';
import type { Preview, PlannedInstance } from '../../_ui/api';
import type { Look } from '../../_ui/status';

const Tilde = createLucideIcon('tilde', [['path', { d: 'M4 14.5c2.5-7 6-5 8-2.5s5.5 4.5 8-2.5', key: 'wave' }]]);

export type Outcome = PlannedInstance['outcome'];

/** Marks of a plan, in the order in which an operator wants to see them. */
export const outcomeLooks: Record<Outcome, Look> = {
  delete: { icon: Minus, word: 'delete', tone: 'fail' },
  recreate: { icon: RotateCw, word: 'recreate', tone: 'look' },
  update: { icon: Tilde, word: 'update in place', tone: 'work' },
  create: { icon: Plus, word: 'create', tone: 'ok' },
  none: { icon: Equal, word: 'unchanged', tone: 'off' },
  ignored: { icon: EyeOff, word: 'ignored', tone: 'off' },
};

/** A reason, and the instances that share it. */
export interface SharedReason {
  kind: string;
  text: string;
  instances: PlannedInstance[];
}

/** Reasons that many instances share, the most shared first; that an instance is new is told by its mark. */
export function sharedReasons(instances: readonly PlannedInstance[]): SharedReason[] {
  const found = new Map<string, SharedReason>();
  for (const instance of instances) {
    if (instance.outcome === 'create' && instance.uuid === undefined) continue;
    for (const { kind, reasons } of instance.changes) {
      for (const text of reasons) {
        const key = `${kind} ${text}`;
        const known = found.get(key);
        if (known) known.instances.push(instance);
        else found.set(key, { kind, text, instances: [instance] });
      }
    }
  }
  return [...found.values()].toSorted((a, b) => b.instances.length - a.instances.length);
}

/** Every instance of a plan. */
export function instancesOf(preview: Pick<Preview, 'groups'>): PlannedInstance[] {
  return preview.groups.flatMap((group) => group.instances);
}

/** How many instances meet which fate; without those that none meets. */
export function outcomeCounts(instances: readonly PlannedInstance[]): [Outcome, number][] {
  const order: Outcome[] = ['delete', 'recreate', 'update', 'create', 'none', 'ignored'];
  return order.flatMap((outcome): [Outcome, number][] => {
    const count = instances.filter((one) => one.outcome === outcome).length;
    return count > 0 ? [[outcome, count]] : [];
  });
}

/** What a deploy does, as a sentence without a subject: "delete 2, recreate 1 and create 3 instances". */
export function summaryOf(instances: readonly PlannedInstance[]): string {
  const parts = outcomeCounts(instances).filter(([outcome]) => outcome !== 'none' && outcome !== 'ignored').map(([outcome, count]) => `${outcome} ${count}`);
  const last = parts.pop();
  if (last === undefined) return 'change no instance';
  return `${parts.length > 0 ? `${parts.join(', ')} and ` : ''}${last} ${parts.length === 0 && last.endsWith(' 1') ? 'instance' : 'instances'}`;
}

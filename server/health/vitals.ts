import { vitalNames } from './fleet-view';

/**
 * Means of the heartbeats' vitals per instance and five minutes. Every node adds up what it hears; the acting one writes. Who has
 * heard more of a slot wins, so a change of the acting node in the middle of one costs nothing.
 */

export const slotSeconds = 300;
/** Slots of the ring: 24 hours. */
export const slotsKept = 288;

/** One instance in one slot, to be written. */
export interface VitalsMean {
  /** Row of instances. */
  instanceId: number;
  /** Heartbeats. */
  samples: number;
  /** In the order of `vitalNames`; NaN where the agent did not say. */
  values: number[];
}

export interface Vitals {
  /** `at` is epoch ms by the database's clock. */
  add(instanceId: number, values: readonly number[], at: number): void;
  /** Begins of the slots that have something, epoch s, oldest first. */
  slots(): number[];
  means(slotAt: number): VitalsMean[];
  /** The slot is written for good. */
  drop(slotAt: number): void;
}

interface Sum {
  samples: number;
  sums: Float64Array;
  counts: Uint32Array;
}

/** `finishedLimit`: older slots are forgotten when nobody writes them. */
export function createVitals(options: { finishedLimit: number }): Vitals {
  const slots = new Map<number, Map<number, Sum>>();
  let newest: { at: number; sums: Map<number, Sum> } | undefined;

  function slotOf(at: number): Map<number, Sum> {
    const slotAt = slotBegin(at);
    if (newest?.at === slotAt) return newest.sums;
    const sums = slots.get(slotAt) ?? new Map<number, Sum>();
    slots.set(slotAt, sums);
    newest = { at: slotAt, sums };
    const begins = [...slots.keys()].toSorted((a, b) => a - b);
    for (const begin of begins.slice(0, Math.max(0, begins.length - 1 - options.finishedLimit))) slots.delete(begin);
    return sums;
  }

  return {
    add(instanceId, values, at) {
      const sums = slotOf(at);
      let sum = sums.get(instanceId);
      if (sum === undefined) {
        sum = { samples: 0, sums: new Float64Array(vitalNames.length), counts: new Uint32Array(vitalNames.length) };
        sums.set(instanceId, sum);
      }
      sum.samples++;
      for (let n = 0; n < vitalNames.length; n++) {
        const value = values[n] ?? Number.NaN;
        if (Number.isNaN(value)) continue;
        sum.sums[n] = (sum.sums[n] ?? 0) + value;
        sum.counts[n] = (sum.counts[n] ?? 0) + 1;
      }
    },
    slots: () => [...slots.keys()].toSorted((a, b) => a - b),
    means: (slotAt) =>
      [...(slots.get(slotAt) ?? [])].map(([instanceId, { samples, sums, counts }]) => ({
        instanceId, samples, values: Array.from(sums, (sum, n) => ((counts[n] ?? 0) === 0 ? Number.NaN : sum / (counts[n] ?? 1))),
      })),
    drop(slotAt) {
      slots.delete(slotAt);
      if (newest?.at === slotAt) newest = undefined;
    },
  };
}

/** Begin of the slot of an instant (epoch ms), epoch s. */
export function slotBegin(at: number): number {
  return Math.floor(at / 1_000 / slotSeconds) * slotSeconds;
}

/** Place of a slot in the ring. */
export function slotIndex(slotAt: number): number {
  return (slotAt / slotSeconds) % slotsKept;
}

import { z } from 'zod';
import type { VitalsSlot } from '../health/list-store';
import { vitalNames, type VitalName } from '../health/fleet-view';

/** Vitals by name; null where an agent does not say. */
export const vitalValues = z.record(z.enum(vitalNames), z.number().nullable());

/** One value per slot and vital; null where nothing was heard. */
export const vitalsChart = z.object({
  /** Ends of the time that the slots cover, epoch ms. */
  from: z.number(),
  to: z.number(),
  slotMs: z.int(),
  /** Begin of each slot, epoch ms, evenly spaced. */
  at: z.array(z.number()),
  series: z.record(z.enum(vitalNames), z.array(z.number().nullable())),
});
export type VitalsChart = z.infer<typeof vitalsChart>;

export const slotMs = 5 * 60_000;

export function namedVitals(values: readonly number[]): Record<VitalName, number | null> {
  return byName((_, index) => finite(values[index]));
}

/** Lays slots on an even grid that ends now, so that times in which nothing was heard show as such. */
export function layOutVitals(slots: readonly VitalsSlot[], span: { now: number; hours: number }): VitalsChart {
  const to = Math.floor(span.now / slotMs) * slotMs;
  const count = (span.hours * 3_600_000) / slotMs;
  const at = Array.from({ length: count + 1 }, (_, index) => to - (count - index) * slotMs);
  const known = new Map(slots.map((slot) => [Math.floor(slot.at.getTime() / slotMs) * slotMs, slot.values]));
  return { from: at[0] ?? to, to: to + slotMs, slotMs, at, series: byName((_, index) => at.map((time) => finite(known.get(time)?.[index]))) };
}

function finite(value: number | undefined): number | null {
  return value === undefined || !Number.isFinite(value) ? null : value;
}

function byName<T>(valueOf: (name: VitalName, index: number) => T): Record<VitalName, T> {
  return Object.fromEntries(vitalNames.map((name, index) => [name, valueOf(name, index)])) as Record<VitalName, T>;
}

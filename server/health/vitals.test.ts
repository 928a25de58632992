import { describe, expect, it } from 'vitest';
import { vitalNames } from './fleet-view';
import { createVitals, slotBegin, slotIndex, slotSeconds, slotsKept } from './vitals';

const at = (slot: number, seconds = 0) => (slot * slotSeconds + seconds) * 1_000;
const values = (load: number, rest = Number.NaN) => vitalNames.map((_, n) => (n === 0 ? load : rest));

describe('vitals', () => {
  it('are means per instance and slot, of what was said', () => {
    const vitals = createVitals({ finishedLimit: 2 });
    vitals.add(1, values(1, 5), at(10));
    vitals.add(1, values(3), at(10, 299));
    vitals.add(2, values(7), at(10, 1));
    vitals.add(1, values(100), at(11));
    expect(vitals.slots()).toEqual([10 * slotSeconds, 11 * slotSeconds]);
    expect(vitals.means(10 * slotSeconds)).toEqual([
      { instanceId: 1, samples: 2, values: values(2, 5) },
      { instanceId: 2, samples: 1, values: values(7) },
    ]);
    vitals.drop(10 * slotSeconds);
    expect(vitals.means(10 * slotSeconds)).toEqual([]);
  });

  it('are forgotten when nobody writes them', () => {
    const vitals = createVitals({ finishedLimit: 2 });
    for (const slot of [1, 2, 3, 4]) vitals.add(1, values(1), at(slot));
    expect(vitals.slots()).toEqual([2, 3, 4].map((slot) => slot * slotSeconds));
  });

  it('go round in a day', () => {
    expect(slotsKept * slotSeconds).toBe(86_400);
    expect(slotBegin(at(7, 299.9))).toBe(7 * slotSeconds);
    expect(slotIndex(slotBegin(at(7)))).toBe(slotIndex(slotBegin(at(7 + slotsKept))));
    expect(slotIndex(slotBegin(at(7)))).not.toBe(slotIndex(slotBegin(at(8))));
  });
});

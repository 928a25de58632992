import { describe, expect, it } from 'vitest';
import type { Vitals } from '../../../_ui/api';
import { chartKinds, formatKb, formatVital, gapsOf, highestOf, hourTicks, newestOf, seriesToldOf } from './vital-charts';

const names = chartKinds.flatMap((kind) => kind.series.flatMap((one) => [one.name, ...(one.kb ? [one.kb] : [])]));
const nothing = Object.fromEntries(names.map((name) => [name, [null, null, null, null, null]])) as unknown as Vitals['series'];
const vitals = (series: Partial<Vitals['series']>): Vitals => ({ from: 0, to: 5, slotMs: 1, at: [0, 1, 2, 3, 4], series: { ...nothing, ...series } });

describe('charts of vitals', () => {
  it('know the times in which nothing was heard, but not the slot that is still filling', () => {
    expect(gapsOf(vitals({ load_1m: [null, 1, null, null, null] }), ['load_1m'])).toEqual([{ from: 0, to: 1 }, { from: 2, to: 4 }]);
    expect(gapsOf(vitals({ cpu_user: [1, null, 1, 1, 1], cpu_sys: [1, 1, 1, 1, 1] }), ['cpu_user', 'cpu_sys'])).toEqual([]);
  });

  it('know the newest and the highest value, and leave out what an agent does not tell', () => {
    const some = vitals({ disk_system_percent: [4, 9, 5, null, null] });
    expect(newestOf(some, 'disk_system_percent')).toBe(5);
    expect(highestOf(some, 'disk_system_percent')).toEqual({ value: 9, at: 1 });
    expect(highestOf(some, 'load_1m')).toBeUndefined();
    const disks = chartKinds.find((kind) => kind.id === 'disks');
    expect(disks && seriesToldOf(some, disks).map((one) => one.label)).toEqual(['system']);
  });

  it('write numbers as people read them', () => {
    expect([formatVital(0.456, ''), formatVital(3.04, '%'), formatVital(87.6, '%'), formatVital(null, '%')]).toEqual(['0.46', '3.0 %', '88 %', '–']);
    expect([formatKb(524_288), formatKb(3_145_728)]).toEqual(['512 MB', '3.0 GB']);
  });

  it('put ticks at full hours', () => {
    const from = new Date(2024, 0, 1, 13, 20).getTime();
    expect(hourTicks(from, from + 86_400_000, 6).map((at) => new Date(at).getHours())).toEqual([18, 0, 6, 12]);
  });
});

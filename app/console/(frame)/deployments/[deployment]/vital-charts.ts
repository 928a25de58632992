import type { Vitals } from '../../../_ui/api';

export type VitalName = keyof Vitals['series'];

/** What one chart of an instance's vitals shows. */
export interface ChartKind {
  id: string;
  title: string;
  /** Series, at most three. */
  series: readonly { name: VitalName; label: string; /** The same in KB, where there is such a vital. */ kb?: VitalName }[];
  unit: '' | '%';
  stacked: boolean;
}

export const chartKinds: readonly ChartKind[] = [
  { id: 'load', title: 'Load', series: [{ name: 'load_1m', label: '1 min' }], unit: '', stacked: false },
  { id: 'cpu', title: 'CPU', series: [{ name: 'cpu_user', label: 'user' }, { name: 'cpu_sys', label: 'system' }, { name: 'cpu_wait', label: 'wait' }], unit: '%', stacked: true },
  { id: 'memory', title: 'Memory', series: [{ name: 'mem_percent', label: 'memory', kb: 'mem_kb' }, { name: 'swap_percent', label: 'swap', kb: 'swap_kb' }], unit: '%', stacked: false },
  { id: 'disks', title: 'Disks', series: [{ name: 'disk_system_percent', label: 'system' }, { name: 'disk_ephemeral_percent', label: 'ephemeral' }, { name: 'disk_persistent_percent', label: 'persistent' }], unit: '%', stacked: false },
];

export function formatVital(value: number | null | undefined, unit: ChartKind['unit']): string {
  if (value === null || value === undefined) return '–';
  return unit === '%' ? `${value < 10 ? value.toFixed(1) : Math.round(value)} %` : value.toFixed(2);
}

/** KB as MB or GB. */
export function formatKb(kb: number): string {
  return kb < 1_024 * 1_024 ? `${Math.round(kb / 1_024)} MB` : `${(kb / 1_024 / 1_024).toFixed(1)} GB`;
}

/** The newest value: of the last heartbeat, else of the last slot with one. */
export function newestOf(vitals: Vitals, name: VitalName): number | null {
  return vitals.newest?.values[name] ?? vitals.series[name].findLast((value) => value !== null) ?? null;
}

/** Series that the agent tells anything of: VMs without a persistent disk, or without swap, have fewer. */
export function seriesToldOf(vitals: Vitals, kind: ChartKind): ChartKind['series'] {
  const told = kind.series.filter((one) => newestOf(vitals, one.name) !== null);
  return told.length > 0 ? told : kind.series.slice(0, 1);
}

export interface Highest {
  value: number;
  /** Epoch ms. */
  at: number;
}

export function highestOf(vitals: Vitals, name: VitalName): Highest | undefined {
  let highest: Highest | undefined;
  for (const [index, value] of vitals.series[name].entries()) if (value !== null && (highest === undefined || value > highest.value)) highest = { value, at: vitals.at[index] ?? 0 };
  return highest;
}

/** Stretches of time in which none of the series has a value: epoch ms. The slot that is still filling is none. */
export function gapsOf(vitals: Vitals, names: readonly VitalName[]): { from: number; to: number }[] {
  const gaps: { from: number; to: number }[] = [];
  for (const [index, at] of vitals.at.entries()) {
    if (index === vitals.at.length - 1 || names.some((name) => vitals.series[name][index] !== null)) continue;
    const last = gaps.at(-1);
    if (last?.to === at) last.to = at + vitals.slotMs;
    else gaps.push({ from: at, to: at + vitals.slotMs });
  }
  return gaps;
}

/** Full hours of the reader's clock that divide by `everyHours`, epoch ms. */
export function hourTicks(from: number, to: number, everyHours: number): number[] {
  const first = new Date(from);
  first.setMinutes(0, 0, 0);
  const ticks: number[] = [];
  for (let at = first.getTime(); at <= to; at += 3_600_000) if (at >= from && new Date(at).getHours() % everyHours === 0) ticks.push(at);
  return ticks;
}

'use client';

import { useId } from 'react';
import { Area, CartesianGrid, ComposedChart, Line, ReferenceArea, ResponsiveContainer, Tooltip, XAxis, YAxis, type TooltipContentProps } from 'recharts';
import type { Vitals } from '../../../_ui/api';
import { formatClock } from '../../../_ui/time';
import { seriesColours, seriesDashes, Swatch } from './series-look';
import { formatVital, gapsOf, hourTicks, type ChartKind } from './vital-charts';

const axis = { fontSize: 11, fill: 'var(--ink-faint)' };

/** The drawing itself: values over time, hatched where nothing was heard. */
export function VitalsPlot({ vitals, kind, series, words }: { vitals: Vitals; kind: ChartKind; series: ChartKind['series']; words: string }) {
  const hatch = useId();
  const rows = vitals.at.map((at, index) => ({ at, ...Object.fromEntries(series.map((one) => [one.name, vitals.series[one.name][index] ?? null])) }));
  const gaps = gapsOf(vitals, series.map((one) => one.name));
  return (
    <ResponsiveContainer width="100%" height="100%">
      <ComposedChart data={rows} margin={{ top: 6, right: 6, bottom: 0, left: 0 }} title={kind.title} desc={words}>
        <defs>
          <pattern id={hatch} width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
            <rect width="1.5" height="6" fill="var(--line-strong)" />
          </pattern>
        </defs>
        <CartesianGrid vertical={false} stroke="var(--line)" />
        {gaps.map((gap) => (
          <ReferenceArea key={gap.from} x1={gap.from} x2={Math.min(gap.to, vitals.at.at(-1) ?? gap.to)} fill={`url(#${hatch})`} fillOpacity={1} ifOverflow="hidden" />
        ))}
        <XAxis dataKey="at" type="number" scale="time" domain={[vitals.from, vitals.at.at(-1) ?? vitals.to]} ticks={hourTicks(vitals.from, vitals.to, 6)} tickFormatter={(at: number) => formatClock(new Date(at)).slice(0, 5)} tick={axis} tickLine={false} axisLine={{ stroke: 'var(--line-strong)' }} height={22} />
        <YAxis width={42} tick={axis} tickLine={false} axisLine={false} tickCount={3} domain={kind.unit === '%' ? [0, 100] : [0, 'auto']} allowDataOverflow={kind.unit === '%'} tickFormatter={(value: number) => (kind.unit === '%' ? `${value}\u00a0%` : String(value))} />
        <Tooltip isAnimationActive={false} cursor={{ stroke: 'var(--ink-faint)', strokeDasharray: '3 3' }} content={(props) => <Reading {...props} kind={kind} series={series} slotMs={vitals.slotMs} />} />
        {series.map((one, index) =>
          kind.stacked ? (
            <Area key={one.name} dataKey={one.name} name={one.label} stackId="all" stroke={seriesColours[index]} strokeWidth={1} fill={seriesColours[index]} fillOpacity={0.28} isAnimationActive={false} activeDot={false} type="linear" />
          ) : (
            <Line key={one.name} dataKey={one.name} name={one.label} stroke={seriesColours[index]} strokeWidth={1.5} strokeDasharray={seriesDashes[index]} dot={<Lone values={vitals.series[one.name]} colour={seriesColours[index]} />} isAnimationActive={false} activeDot={{ r: 2.5, strokeWidth: 0 }} type="linear" />
          ),
        )}
      </ComposedChart>
    </ResponsiveContainer>
  );
}

/** A value between two gaps has no line: a dot. */
function Lone({ values, colour, cx, cy, index }: { values: readonly (number | null)[]; colour: string | undefined; cx?: number; cy?: number; index?: number }) {
  if (cx === undefined || cy === undefined || index === undefined || !Number.isFinite(cy)) return null;
  if ((values[index] ?? null) === null || (values[index - 1] ?? null) !== null || (values[index + 1] ?? null) !== null) return null;
  return <circle cx={cx} cy={cy} r={1.5} fill={colour} />;
}

/** The values under the pointer. */
function Reading({ active, payload, label, kind, series, slotMs }: TooltipContentProps & { kind: ChartKind; series: ChartKind['series']; slotMs: number }) {
  if (!active || typeof label !== 'number') return null;
  const clock = (at: number) => formatClock(new Date(at)).slice(0, 5);
  return (
    <div className="rounded-[5px] border border-line-strong bg-panel px-2.5 py-1.5 text-xs shadow-sm">
      <p className="text-faint tabular-nums">{clock(label)} to {clock(label + slotMs)}</p>
      {series.map((one, index) => {
        const value: unknown = payload.find((entry) => entry.dataKey === one.name)?.value;
        return (
          <p key={one.name} className="flex items-center gap-2 tabular-nums">
            <Swatch index={index} stacked={kind.stacked} /> {one.label} <span className="ml-auto pl-3 font-medium">{typeof value === 'number' ? formatVital(value, kind.unit) : 'not heard'}</span>
          </p>
        );
      })}
    </div>
  );
}

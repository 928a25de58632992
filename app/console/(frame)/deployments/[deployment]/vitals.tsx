'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import dynamic from 'next/dynamic';
import { useState } from 'react';
import { useTRPC, type Vitals as VitalsData } from '../../../_ui/api';
import { Loaded } from '../../../_ui/states';
import { formatClock, formatExact } from '../../../_ui/time';
import { Swatch } from './series-look';
import { chartKinds, formatKb, formatVital, highestOf, newestOf, seriesToldOf, type ChartKind } from './vital-charts';

/** The chart library is only fetched where charts are; their room is kept meanwhile. */
const Plot = dynamic(() => import('./vitals-plot').then((all) => all.VitalsPlot), { ssr: false, loading: () => <div className="skeleton h-full" /> });

export function useVitals(uuid: string) {
  const trpc = useTRPC();
  return useQuery(trpc.instances.vitals.queryOptions({ uuid }, { refetchInterval: 5_000, placeholderData: keepPreviousData }));
}

/** The last 24 hours of an instance: load, CPU, memory and disks; beside each other, or (`narrow`) below. */
export function VitalsCharts({ uuid, narrow = false }: { uuid: string; narrow?: boolean }) {
  const query = useVitals(uuid);
  return (
    <div className={narrow ? 'flex flex-col gap-4' : 'grid gap-4 lg:grid-cols-2'}>
      <Loaded query={query} skeleton={chartKinds.map((kind) => <div key={kind.id} className={`skeleton ${narrow ? 'h-[146px]' : 'h-[250px]'}`} />)}>
        {(vitals) => chartKinds.map((kind) => <Chart key={kind.id} vitals={vitals} kind={kind} narrow={narrow} />)}
      </Loaded>
    </div>
  );
}

function Chart({ vitals, kind, narrow }: { vitals: VitalsData; kind: ChartKind; narrow: boolean }) {
  const series = seriesToldOf(vitals, kind);
  const words = describe(vitals, kind, series);
  const heard = series.some((one) => vitals.series[one.name].some((value) => value !== null));
  return (
    <figure className={narrow ? '' : 'panel px-4 pt-3 pb-2'} aria-label={`${kind.title} over 24 hours`}>
      <figcaption className="mb-1 flex flex-wrap items-baseline justify-between gap-x-3 gap-y-0.5">
        <span className="heading">{kind.title}</span>
        <span className="flex flex-wrap gap-x-3 text-xs">
          {series.map((one, index) => (
            <span key={one.name} className="flex items-center gap-1.5 whitespace-nowrap">
              <Swatch index={index} stacked={kind.stacked} />
              <span className="text-soft">{one.label}</span>
              <span className="font-medium tabular-nums">{formatVital(newestOf(vitals, one.name), kind.unit)}</span>
              {!narrow && one.kb !== undefined && newestOf(vitals, one.kb) !== null && <span className="text-faint tabular-nums">{formatKb(newestOf(vitals, one.kb) ?? 0)}</span>}
            </span>
          ))}
        </span>
      </figcaption>
      <div className={`relative ${narrow ? 'h-[110px]' : 'h-[170px]'}`}>
        {heard ? <Plot vitals={vitals} kind={kind} series={series} words={words} /> : <p className="hatch grid h-full place-items-center rounded-[4px] border text-sm"><span className="rounded bg-panel px-2 py-0.5 text-soft">Nothing heard in the last 24 hours</span></p>}
      </div>
      <p className="sr-only">{words}</p>
      {!narrow && heard && <AsTable vitals={vitals} kind={kind} series={series} />}
    </figure>
  );
}

/** In words what the chart shows. */
function describe(vitals: VitalsData, kind: ChartKind, series: ChartKind['series']): string {
  const parts = series.flatMap((one) => {
    const highest = highestOf(vitals, one.name);
    return highest ? [`${one.label} ${formatVital(highest.value, kind.unit)} at ${formatClock(new Date(highest.at)).slice(0, 5)}`] : [];
  });
  return parts.length === 0 ? 'Nothing heard.' : `Highest: ${parts.join(', ')}.`;
}

function AsTable({ vitals, kind, series }: { vitals: VitalsData; kind: ChartKind; series: ChartKind['series'] }) {
  const [open, setOpen] = useState(false);
  const rows = vitals.at.map((at, index) => ({ at, values: series.map((one) => vitals.series[one.name][index] ?? null) })).toReversed();
  return (
    <details className="mt-1 text-sm" onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary className="cursor-pointer text-xs">
        <span className="text-accent">{kind.title} as a table</span>
        <span className="float-right text-faint tabular-nums" aria-hidden>highest {series.map((one) => formatVital(highestOf(vitals, one.name)?.value, kind.unit)).join(', ')}</span>
      </summary>
      {open && (
        <div className="mt-2 max-h-[220px] overflow-y-auto rounded-[4px] border" tabIndex={0} role="region" aria-label={`${kind.title}, means of 5 minutes`}>
          <table className="table">
            <thead>
              <tr>
                <th scope="col" aria-sort="descending">From</th>
                {series.map((one) => <th key={one.name} scope="col" className="num">{one.label}</th>)}
              </tr>
            </thead>
            <tbody>
              {rows.map((row) => (
                <tr key={row.at}>
                  <td className="tabular-nums" title={formatExact(new Date(row.at))}>{formatClock(new Date(row.at)).slice(0, 5)}</td>
                  {row.values.map((value, index) => <td key={series[index]?.name} className="num">{formatVital(value, kind.unit)}</td>)}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}

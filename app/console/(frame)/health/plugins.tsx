'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTRPC, type Outputs } from '../../_ui/api';
import { Section } from '../../_ui/page-header';
import { Empty, Loaded, SkeletonRows } from '../../_ui/states';
import { Status, toneIcons, type Look } from '../../_ui/status';
import { formatDuration } from '../../_ui/time';

type Plugin = Outputs['health']['plugins'][number];

/** How alerts come to those who should know. */
export function Plugins() {
  const trpc = useTRPC();
  const query = useQuery(trpc.health.plugins.queryOptions(undefined, { refetchInterval: 3_000, placeholderData: keepPreviousData }));
  return (
    <Section title="Plugins" id="plugins">
      <div className="panel max-h-[420px] overflow-auto">
        <Loaded query={query} skeleton={<SkeletonRows rows={2} />}>{(plugins) => (plugins.length === 0 ? <Empty title="No plugins">Alerts are kept here only. Name plugins in the configuration under health_monitor.</Empty> : <Table plugins={plugins} />)}</Loaded>
      </div>
    </Section>
  );
}

function lookOf(plugin: Plugin): Look {
  if (!plugin.configured) return { icon: toneIcons.off, word: 'removed', tone: 'off' };
  if (plugin.failing > 0) return { icon: toneIcons.fail, word: 'fails, tries again', tone: 'fail' };
  if (plugin.givenUp > 0) return { icon: toneIcons.look, word: 'delivers again', tone: 'look' };
  return plugin.delivered > 0 ? { icon: toneIcons.ok, word: 'delivers', tone: 'ok' } : { icon: toneIcons.off, word: 'nothing sent yet', tone: 'off' };
}

function Table({ plugins }: { plugins: Plugin[] }) {
  return (
    <table className="table min-w-[460px]">
      <thead>
        <tr>
          <th scope="col">Plugin</th>
          <th scope="col">State</th>
          <th scope="col" className="num" title="Alerts on their way">Waiting</th>
          <th scope="col" className="num" title="Alerts that could not be delivered in time">Given up</th>
          <th scope="col" className="num">Delivered</th>
        </tr>
      </thead>
      <tbody>
        {plugins.map((one) => (
          <tr key={one.plugin}>
            <td className="whitespace-nowrap">
              <span className="font-medium">{one.plugin}</span>
              {one.name !== undefined && one.name !== one.plugin && <span className="ml-2 text-faint">{one.name}</span>}
            </td>
            <td>
              <Status look={lookOf(one)} />
              {one.error !== undefined && <span className="block max-w-52 truncate text-soft" title={one.error}>{one.error}</span>}
            </td>
            <td className="num" title={one.pending > 0 ? `the oldest for ${formatDuration(one.oldestMs)}` : undefined}>{one.pending}</td>
            <td className={`num ${one.givenUp > 0 ? 'font-semibold text-look' : ''}`}>{one.givenUp}</td>
            <td className="num text-soft">{one.delivered}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

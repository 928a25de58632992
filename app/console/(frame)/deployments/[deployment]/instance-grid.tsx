'use client';

import type { Instance, Outputs } from '../../../_ui/api';
import { lifeLooks, toneText, toneWash } from '../../../_ui/status';
import { useShortcut } from '../../../_ui/shortcuts';
import { useRows } from '../../../_ui/use-rows';

type Deployment = Outputs['deployments']['get'];

/** More tiles than this in a group are drawn small. */
const manyTiles = 60;

/** Groups as rows, AZs as columns, instances as tiles. */
export function InstanceGrid({ deployment, life, selected, onSelect }: { deployment: Deployment; life: string | undefined; selected: string | undefined; onSelect: (uuid: string | undefined) => void }) {
  const rows = useRows<HTMLTableSectionElement>();
  useShortcut('Escape', 'Close the instance', () => onSelect(undefined));
  return (
    <div className="panel overflow-x-auto">
      <table className="w-full border-separate border-spacing-0 text-sm">
        <thead>
          <tr className="text-left text-faint">
            <th scope="col" className="h-8 w-44 border-b px-4 font-medium">Instance group</th>
            {deployment.azs.map((az) => (
              <th key={az} scope="col" className="h-8 border-b border-l px-3 font-medium">
                {az === '' ? 'no AZ' : az}
              </th>
            ))}
          </tr>
        </thead>
        <tbody ref={rows}>
          {deployment.groups.map((group) => (
            <tr key={group.name} className="group">
              <th scope="row" className="border-b px-4 py-[11px] text-left align-top font-normal group-last:border-b-0">
                <span className="font-medium">{group.name}</span>
                <span className="ml-2 text-faint tabular-nums">{group.instances.length}</span>
              </th>
              {deployment.azs.map((az) => (
                <td key={az} className="border-b border-l px-2 py-1.5 align-top group-last:border-b-0">
                  <div className="flex flex-wrap gap-1">
                    {group.instances
                      .filter((one) => (one.az ?? '') === az)
                      .map((one) => (
                        <Tile key={one.uuid} instance={one} small={group.instances.length > manyTiles} dimmed={life !== undefined && one.life !== life} selected={one.uuid === selected} onSelect={() => onSelect(one.uuid === selected ? undefined : one.uuid)} />
                      ))}
                  </div>
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Tile({ instance, small, dimmed, selected, onSelect }: { instance: Instance; small: boolean; dimmed: boolean; selected: boolean; onSelect: () => void }) {
  const look = lifeLooks[instance.life];
  const Icon = look.icon;
  // Healthy instances stay quiet, so that the others are seen among a thousand.
  const calm = look.tone === 'ok' || look.tone === 'off';
  const notes = [look.word, ...(instance.updateCompleted ? [] : ['update not finished']), ...(instance.ignore ? ['ignored'] : []), ...instance.ips];
  return (
    <button
      type="button"
      data-row
      aria-pressed={selected}
      onClick={onSelect}
      title={`${instance.group}/${instance.uuid} (${instance.index})\n${notes.join('\n')}`}
      className={`relative flex items-center gap-1 rounded-[4px] border tabular-nums transition-opacity duration-150 ${small ? 'h-6 min-w-11.5 px-1.5' : 'h-7 min-w-13 px-2'} ${toneText[look.tone]} ${calm ? 'bg-page' : `${toneWash[look.tone]} font-semibold`} ${selected ? 'border-accent outline-1 outline-accent' : calm ? 'border-line hover:border-line-strong' : 'border-current/40 hover:border-current'} ${dimmed ? 'opacity-25' : ''} ${instance.ignore ? 'hatch' : ''}`}
    >
      <Icon aria-hidden size={small ? 11 : 13} strokeWidth={2.4} className={look.spins ? 'spin' : ''} />
      <span className="text-ink">{instance.index}</span>
      <span className="sr-only">{`${instance.group} ${notes.join(', ')}`}</span>
      {!instance.updateCompleted && <span aria-hidden className="absolute -top-px -right-px size-0 border-[4px] border-t-look border-r-look border-b-transparent border-l-transparent" />}
    </button>
  );
}

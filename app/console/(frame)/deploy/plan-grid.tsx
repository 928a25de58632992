'use client';

import type { PlannedInstance, Preview } from '../../_ui/api';
import { toneText, toneWash } from '../../_ui/status';
import { useRows } from '../../_ui/use-rows';
import { outcomeLooks } from './looks';

/** More tiles than this in a group are drawn small. */
const manyTiles = 60;

interface Chosen {
  /** Others are dimmed; undefined: all count. */
  shown: ReadonlySet<PlannedInstance> | undefined;
  selected: PlannedInstance | undefined;
  onSelect: (instance: PlannedInstance | undefined) => void;
}

/** Groups as rows, AZs as columns, instances as tiles with the mark of what will happen to them. */
export function PlanGrid({ preview, ...chosen }: { preview: Preview } & Chosen) {
  const rows = useRows<HTMLTableSectionElement>();
  return (
    <div className="panel overflow-x-auto">
      <table className="w-full border-separate border-spacing-0 text-sm">
        <thead>
          <tr className="text-left text-faint">
            <th scope="col" className="h-8 w-44 border-b px-4 font-medium">Instance group</th>
            {preview.azs.map((az) => (
              <th key={az} scope="col" className="h-8 border-b border-l px-3 font-medium">{az === '' ? 'no AZ' : az}</th>
            ))}
          </tr>
        </thead>
        <tbody ref={rows}>
          {preview.groups.map((group) => (
            <tr key={group.name} className="group">
              <th scope="row" className="border-b px-4 py-[11px] text-left align-top font-normal group-last:border-b-0">
                <span className={group.removed ? 'font-medium line-through decoration-fail' : 'font-medium'}>{group.name}</span>
                <span className="ml-2 text-faint tabular-nums">{group.removed ? 'removed' : group.instances.length}</span>
              </th>
              {preview.azs.map((az) => (
                <td key={az} className="border-b border-l px-2 py-1.5 align-top group-last:border-b-0">
                  <div className="flex flex-wrap gap-1">
                    {group.instances.filter((one) => (one.az ?? '') === az).map((one) => (
                      <Tile key={one.uuid ?? `new-${one.index}`} instance={one} small={group.instances.length > manyTiles} {...chosen} />
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

function Tile({ instance, small, shown, selected, onSelect }: { instance: PlannedInstance; small: boolean } & Chosen) {
  const look = outcomeLooks[instance.outcome];
  const Icon = look.icon;
  const calm = look.tone === 'off';
  const isSelected = selected === instance;
  const why = instance.changes.flatMap((change) => change.reasons);
  return (
    <button
      type="button"
      data-row
      aria-pressed={isSelected}
      onClick={() => onSelect(isSelected ? undefined : instance)}
      title={[`${instance.group}/${instance.uuid ?? 'new'} (${instance.index})`, look.word, ...(instance.agentSilent ? ['its agent does not answer'] : []), ...why].join('\n')}
      className={`relative flex items-center gap-1 rounded-[4px] border tabular-nums transition-opacity duration-150 ${small ? 'h-6 min-w-11.5 px-1.5' : 'h-7 min-w-13 px-2'} ${toneText[look.tone]} ${calm ? 'bg-page' : `${toneWash[look.tone]} font-semibold`} ${isSelected ? 'border-accent outline-1 outline-accent' : calm ? 'border-line hover:border-line-strong' : 'border-current/40 hover:border-current'} ${shown && !shown.has(instance) ? 'opacity-25' : ''} ${instance.outcome === 'ignored' ? 'hatch' : ''}`}
    >
      <Icon aria-hidden size={small ? 11 : 13} strokeWidth={2.6} />
      <span className="text-ink">{instance.index}</span>
      <span className="sr-only">{`${instance.group} ${look.word}`}</span>
      {instance.agentSilent && <span aria-hidden className="absolute -top-px -right-px size-0 border-[4px] border-t-fail border-r-fail border-b-transparent border-l-transparent" />}
    </button>
  );
}

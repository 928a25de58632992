'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import { useTRPC, type Outputs } from '../../_ui/api';
import { Empty, Loaded } from '../../_ui/states';
import { Ago } from '../../_ui/time';
import { useUrlState } from '../../_ui/url-state';
import { useRows } from '../../_ui/use-rows';
import { diffLines } from './line-diff';

type Config = Outputs['configs']['list'][number];
type Version = Outputs['configs']['history'][number];

/** Configs at the left; the chosen one's text and versions at the right. The choice is in the URL. */
export function ConfigBrowser() {
  const trpc = useTRPC();
  const query = useQuery(trpc.configs.list.queryOptions(undefined, { refetchInterval: 5_000, placeholderData: keepPreviousData }));
  return (
    <Loaded query={query}>
      {(configs) =>
        configs.length === 0 ? (
          <div className="panel">
            <Empty title="No configs yet">Upload one with <code className="mono">bosh update-cloud-config cloud.yml</code>.</Empty>
          </div>
        ) : (
          <Chosen configs={configs} />
        )
      }
    </Loaded>
  );
}

function Chosen({ configs }: { configs: Config[] }) {
  const { get, set } = useUrlState();
  const rows = useRows<HTMLUListElement>();
  const chosen = configs.find((one) => one.type === get('type') && one.name === (get('name') ?? 'default')) ?? configs[0];
  return (
    <div className="flex items-start gap-5 max-lg:flex-col">
      <ul ref={rows} className="panel w-full shrink-0 divide-y overflow-hidden lg:w-64">
        {configs.map((one) => (
          <li key={one.id}>
            <button
              type="button"
              data-row
              aria-current={one === chosen}
              onClick={() => set({ type: one.type, name: one.name, version: undefined })}
              className={`flex h-11 w-full flex-col justify-center px-4 text-left ${one === chosen ? 'bg-accent-wash' : 'hover:bg-raised'}`}
            >
              <span className={`truncate font-medium leading-4 ${one === chosen ? 'text-accent' : ''}`}>
                {one.type} <span className="font-normal">{one.name}</span>
              </span>
              <span className="text-xs text-faint">
                version {one.id}, <Ago at={one.createdAt} />
                {one.team !== undefined && `, ${one.team}`}
              </span>
            </button>
          </li>
        ))}
      </ul>
      {chosen && <ConfigText key={`${chosen.type}/${chosen.name}`} config={chosen} />}
    </div>
  );
}

function ConfigText({ config }: { config: Config }) {
  const trpc = useTRPC();
  const query = useQuery(trpc.configs.history.queryOptions({ type: config.type, name: config.name }, { refetchInterval: 5_000, placeholderData: keepPreviousData }));
  return (
    <section aria-label={`${config.type} config ${config.name}`} className="panel w-full min-w-0 flex-1">
      <Loaded query={query}>{(versions) => <Versions versions={versions} />}</Loaded>
    </section>
  );
}

function Versions({ versions }: { versions: Version[] }) {
  const { get, set } = useUrlState();
  const chosen = versions.find((one) => String(one.id) === get('version')) ?? versions[0];
  const older = chosen && versions[versions.indexOf(chosen) + 1];
  const compare = get('view') === 'changes' && older !== undefined;
  if (!chosen) return <Empty title="This config was deleted" />;
  return (
    <>
      <div className="flex flex-wrap items-center gap-3 border-b px-4 py-2">
        <label className="flex items-center gap-2 text-sm text-soft">
          Version
          <select className="field text-sm" value={chosen.id} onChange={(event) => set({ version: event.target.value })}>
            {versions.map((one) => (
              <option key={one.id} value={one.id}>
                {one.id}
                {one.current ? ' (current)' : ''}
              </option>
            ))}
          </select>
        </label>
        <span className="text-sm text-faint">
          uploaded <Ago at={chosen.createdAt} />
        </span>
        <div role="group" aria-label="View" className="ml-auto flex overflow-hidden rounded-[5px] border border-line-strong">
          {(['text', 'changes'] as const).map((view) => (
            <button
              key={view}
              type="button"
              aria-pressed={compare === (view === 'changes')}
              disabled={view === 'changes' && older === undefined}
              title={view === 'changes' && older === undefined ? 'This is the first version' : undefined}
              onClick={() => set({ view: view === 'text' ? undefined : view })}
              className={`h-[26px] px-2.5 text-sm not-last:border-r disabled:text-faint ${compare === (view === 'changes') ? 'bg-accent-wash font-medium text-accent' : 'text-soft enabled:hover:bg-raised'}`}
            >
              {view === 'text' ? 'Text' : 'Changes'}
            </button>
          ))}
        </div>
      </div>
      <div className="overflow-auto" tabIndex={0} role="region" aria-label="Content">
        {compare && older ? <Diff before={older.content} after={chosen.content} /> : <pre className="p-4 text-sm">{chosen.content}</pre>}
      </div>
    </>
  );
}

const diffLooks = { same: { mark: ' ', look: 'text-soft' }, added: { mark: '+', look: 'bg-ok-wash text-ok' }, removed: { mark: '-', look: 'bg-fail-wash text-fail' } } as const;

function Diff({ before, after }: { before: string; after: string }) {
  return (
    <pre className="py-4 text-sm">
      {diffLines(before, after).map((line, index) => (
        <div key={index} className={`px-4 ${diffLooks[line.kind].look}`}>
          <span className="mr-3 select-none">{diffLooks[line.kind].mark}</span>
          {line.text}
        </div>
      ))}
    </pre>
  );
}

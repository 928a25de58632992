'use client';

import { keepPreviousData, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useState } from 'react';
import { useTRPC, type Instance, type Outputs } from '../../../_ui/api';
import { Fact, PageHeader, Section } from '../../../_ui/page-header';
import { Empty, Loaded, SkeletonRows } from '../../../_ui/states';
import { lifeLooks, Status, taskLooks } from '../../../_ui/status';
import { TaskItem } from '../../../_ui/task-item';
import { Ago } from '../../../_ui/time';
import { useUrlState } from '../../../_ui/url-state';
import { DeploymentState } from '../deployment-list';
import { InstanceGrid } from './instance-grid';
import { InstancePanel } from './instance-panel';

type Deployment = Outputs['deployments']['get'];

/** One deployment: its instances by group and AZ, live, and what it is made of. */
export function DeploymentView({ name }: { name: string }) {
  const trpc = useTRPC();
  const query = useQuery(trpc.deployments.get.queryOptions({ name }, { refetchInterval: 2_000, placeholderData: keepPreviousData }));
  return (
    <>
      <Header name={name} deployment={query.data} />
      <Loaded query={query}>{(deployment) => <Body deployment={deployment} />}</Loaded>
    </>
  );
}

function Header({ name, deployment }: { name: string; deployment: Deployment | undefined }) {
  const task = deployment?.lastTask;
  return (
    <PageHeader
      up={<Link className="link" href="/console/deployments">Deployments</Link>}
      title={name}
      state={deployment && <DeploymentState of={deployment} chip />}
      actions={<Link className="button" href={`/console/deployments/${encodeURIComponent(name)}/deploy`}>Deploy…</Link>}
      facts={
        <>
          <Fact name="Releases">{deployment ? list(deployment.releases) : '…'}</Fact>
          <Fact name="Stemcells">{deployment ? list(deployment.stemcells) : '…'}</Fact>
          {deployment && deployment.teams.length > 0 && <Fact name="Teams">{deployment.teams.join(', ')}</Fact>}
          <Fact name="Last task">
            {task ? (
              <span className="inline-flex items-center gap-2">
                <Link className="link" href={`/console/tasks/${task.id}`}>{task.id}</Link>
                <Status look={taskLooks[task.state]} />
                <span className="text-faint"><Ago at={task.at} /></span>
              </span>
            ) : '–'}
          </Fact>
        </>
      }
    />
  );
}

function list(versions: { name: string; version: string }[]): string {
  return versions.length === 0 ? '–' : versions.map((one) => `${one.name} ${one.version}`).join(', ');
}

function Body({ deployment }: { deployment: Deployment }) {
  const { get, set } = useUrlState();
  const instances = deployment.groups.flatMap((group) => group.instances);
  const life = get('life');
  const selected = instances.find((one) => one.uuid === get('instance'));
  return (
    <div className="flex items-start gap-5 max-lg:flex-col">
      <div className="min-w-0 flex-1 max-lg:w-full">
        <Section title="Instances" aside={<LifeCounts instances={instances} chosen={life} onChoose={(next) => set({ life: next })} />}>
          {instances.length === 0 ? (
            <div className="panel">
              <Empty title="No instances yet">The first deploy makes them.</Empty>
            </div>
          ) : (
            <InstanceGrid deployment={deployment} life={life} selected={selected?.uuid} onSelect={(uuid) => set({ instance: uuid })} />
          )}
        </Section>
        <RecentTasks deployment={deployment.name} />
        <Sources deployment={deployment} />
      </div>
      {selected && <InstancePanel deployment={deployment.name} instance={selected} onClose={() => set({ instance: undefined })} />}
    </div>
  );
}

/** How many instances are in which state; choosing one dims the others. */
function LifeCounts({ instances, chosen, onChoose }: { instances: Instance[]; chosen: string | undefined; onChoose: (life: string | undefined) => void }) {
  const counts = new Map<Instance['life'], number>();
  for (const one of instances) counts.set(one.life, (counts.get(one.life) ?? 0) + 1);
  return (
    <span className="flex flex-wrap items-center justify-end gap-1">
      {[...counts].toSorted((a, b) => b[1] - a[1]).map(([life, count]) => (
        <button
          key={life}
          type="button"
          aria-pressed={chosen === life}
          onClick={() => onChoose(chosen === life ? undefined : life)}
          className={`flex items-center gap-1.5 rounded px-1.5 tabular-nums ${chosen === life ? 'bg-raised' : 'hover:bg-raised'}`}
        >
          <span className="text-ink">{count}</span> <Status look={lifeLooks[life]} />
        </button>
      ))}
    </span>
  );
}

/** What was done to it lately. */
function RecentTasks({ deployment }: { deployment: string }) {
  const trpc = useTRPC();
  const query = useQuery(trpc.tasks.list.queryOptions({ deployment, limit: 6 }, { refetchInterval: 2_000, placeholderData: keepPreviousData }));
  return (
    <Section title="Recent tasks" aside={<Link className="link" href={`/console/tasks?deployment=${encodeURIComponent(deployment)}`}>All its tasks</Link>}>
      <div className="panel overflow-hidden">
        <Loaded query={query} skeleton={<SkeletonRows rows={3} />}>
          {({ tasks }) => (tasks.length === 0 ? <p className="flex h-[46px] items-center px-4 text-soft">None yet.</p> : <ul className="divide-y divide-line">{tasks.map((task) => <TaskItem key={task.id} task={task} />)}</ul>)}
        </Loaded>
      </div>
    </Section>
  );
}

/** Manifest and configs of the last deploy. */
function Sources({ deployment }: { deployment: Deployment }) {
  const trpc = useTRPC();
  const [open, setOpen] = useState(false);
  const manifest = useQuery(trpc.deployments.manifest.queryOptions({ name: deployment.name }, { enabled: open }));
  return (
    <Section title="Made of">
      <div className="panel divide-y">
        {deployment.configs.map((config) => (
          <p key={config.id} className="flex h-9 items-center gap-3 px-4 text-sm">
            <Link className="link" href={`/console/configs?type=${encodeURIComponent(config.type)}&name=${encodeURIComponent(config.name)}`}>
              {config.type} config {config.name}
            </Link>
            <span className="text-faint">version {config.id}</span>
            {!config.current && <span className="text-look">a newer version exists; the next deploy uses it</span>}
          </p>
        ))}
        <p className="flex h-9 items-center px-4 text-sm">
          <Link className="link" href={`/console/deployments/${encodeURIComponent(deployment.name)}/variables`}>Variables</Link>
        </p>
        <details onToggle={(event) => setOpen(event.currentTarget.open)}>
          <summary className="flex h-9 cursor-pointer items-center px-4 text-sm text-accent">Manifest of the last deploy</summary>
          {open && (
            <div className="max-h-[480px] overflow-auto border-t bg-page" tabIndex={0} role="region" aria-label="Manifest">
              <Loaded query={manifest}>{({ text }) => <pre className="p-4 text-sm">{text ?? 'No deploy has succeeded yet.'}</pre>}</Loaded>
            </div>
          )}
        </details>
      </div>
    </Section>
  );
}

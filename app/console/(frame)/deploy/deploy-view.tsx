'use client';

import { useMutation, useQuery } from '@tanstack/react-query';
import Link from 'next/link';
import { useRouter } from 'next/navigation';
import { useState } from 'react';
import { useTRPC, type Preview } from '../../_ui/api';
import { PageHeader } from '../../_ui/page-header';
import { Segments } from '../../_ui/filters';
import { Confirm } from '../../_ui/sheet';
import { Loaded, Problem, SkeletonRows } from '../../_ui/states';
import { DeployForm, noFlags, type Flags } from './deploy-form';
import { instancesOf, summaryOf } from './looks';
import { PlanView } from './plan-view';

/** Editing a manifest, seeing what its deploy would do, and deploying it. Without a name: of a new deployment. */
export function DeployView({ name }: { name?: string }) {
  const trpc = useTRPC();
  const query = useQuery(trpc.deployments.manifest.queryOptions({ name: name ?? '' }, { enabled: name !== undefined, staleTime: Number.POSITIVE_INFINITY }));
  if (name === undefined) return <Deploying manifest="" />;
  return <Loaded query={query}>{({ text }) => <Deploying name={name} manifest={text ?? `name: ${name}\n`} />}</Loaded>;
}

/** What is previewed and deployed. */
interface Wish {
  manifest: string;
  flags: Flags;
}

function inputOf({ manifest, flags }: Wish, name: string | undefined) {
  const { canaries, maxInFlight, skipDrain, recreate, fix } = flags;
  return {
    deployment: name, manifest,
    flags: { recreate, fix, ...(skipDrain ? { skipDrain: '*' as const } : {}), ...(canaries === '' ? {} : { canaries }), ...(maxInFlight === '' ? {} : { maxInFlight }) },
  };
}

function Deploying({ name, manifest: deployed }: { name?: string; manifest: string }) {
  const trpc = useTRPC();
  const router = useRouter();
  const [wish, setWish] = useState<Wish>({ manifest: deployed, flags: noFlags });
  const [previewed, setPreviewed] = useState<Wish>();
  const [asking, setAsking] = useState(false);
  const preview = useMutation(trpc.deploys.preview.mutationOptions());
  const start = useMutation(trpc.deploys.start.mutationOptions({ onSuccess: ({ taskId }) => router.push(`/console/tasks/${taskId}`) }));
  const isFresh = preview.data !== undefined && previewed === wish;
  const look = () => {
    if (wish.manifest.trim() === '') return;
    setPreviewed(wish);
    preview.mutate(inputOf(wish, name));
  };
  return (
    <>
      <PageHeader
        up={name === undefined ? <Link className="link" href="/console/deployments">Deployments</Link> : <Link className="link" href={`/console/deployments/${encodeURIComponent(name)}`}>{name}</Link>}
        title={name === undefined ? 'New deployment' : `Deploy ${name}`}
        actions={
          <>
            <button type="button" className={`button ${isFresh ? '' : 'primary'}`} disabled={preview.isPending || wish.manifest.trim() === ''} onClick={look}>{preview.isPending ? 'Planning…' : 'Preview'}</button>
            <button type="button" className={`button ${isFresh ? 'primary' : ''}`} disabled={!isFresh} title={isFresh ? undefined : 'Preview it first'} onClick={() => setAsking(true)}>Deploy</button>
          </>
        }
      />
      <DeployForm {...wish} rows={preview.data ? 14 : 26} onManifest={(manifest) => setWish({ ...wish, manifest })} onFlags={(flags) => setWish({ ...wish, flags })} onPreview={look} />
      <Result preview={preview} isFresh={isFresh} onRetry={look} />
      {asking && preview.data && (
        <Confirm title={`Deploy ${preview.data.deployment}?`} action="Deploy" calm busy={start.isPending} error={start.error?.message} onConfirm={() => start.mutate({ ...inputOf(wish, name), context: preview.data.context })} onClose={() => setAsking(false)}>
          It will {summaryOf(instancesOf(preview.data))}, with the configs of this preview. The task’s page opens.
        </Confirm>
      )}
    </>
  );
}

type Part = 'plan' | 'diff';

function Result({ preview, isFresh, onRetry }: { preview: { data: Preview | undefined; error: unknown; isPending: boolean }; isFresh: boolean; onRetry: () => void }) {
  const [part, setPart] = useState<Part>('plan');
  if (preview.error) return <div className="panel"><Problem error={preview.error} what="This cannot be planned" onRetry={onRetry} /></div>;
  if (preview.isPending) return <div className="panel"><SkeletonRows rows={4} /></div>;
  if (!preview.data) return null;
  return (
    <section aria-label="Preview" className={isFresh ? '' : 'opacity-60'}>
      <div className="mb-3 flex flex-wrap items-center gap-3">
        <Segments name="Part of the preview" options={[{ key: 'plan', name: 'Plan' }, { key: 'diff', name: 'Manifest diff' }]} value={part} onChange={setPart} />
        <p role="status" className="text-sm text-soft">{isFresh ? `The deploy will ${summaryOf(instancesOf(preview.data))}.` : 'This preview is of another text or other flags: preview again.'}</p>
      </div>
      {part === 'plan' ? <PlanView key={preview.data.context} preview={preview.data} /> : <Diff preview={preview.data} />}
    </section>
  );
}

const marks = { added: { mark: '+', look: 'bg-ok-wash text-ok' }, removed: { mark: '-', look: 'bg-fail-wash text-fail' }, same: { mark: ' ', look: 'text-soft' } } as const;

function Diff({ preview }: { preview: Preview }) {
  if (preview.diff.length === 0) return <p className="panel flex h-[46px] items-center px-4 text-soft">Manifest and configs are those of the last deploy.</p>;
  return (
    <div className="panel overflow-auto" tabIndex={0} role="region" aria-label="Manifest diff">
      <pre className="py-3 text-sm">
        {preview.diff.map(([text, status], index) => {
          const { mark, look } = marks[status ?? 'same'];
          return <div key={index} className={`px-4 ${look}`}><span className="mr-3 select-none">{mark}</span>{text}</div>;
        })}
      </pre>
    </div>
  );
}

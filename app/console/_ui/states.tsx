'use client';

import { CircleCheck, CircleX, Inbox, Lock, Unplug } from 'lucide-react';
import type { ReactNode } from 'react';
import { isApiError, isRefusal } from './api';
import { formatClock, formatExact } from './time';

/** Nothing to show, and what would make something appear. */
export function Empty({ title, children }: { title: string; children?: ReactNode }) {
  return (
    <div className="flex flex-col items-center gap-1 px-6 py-12 text-center">
      <Inbox aria-hidden size={20} className="mb-1 text-faint" />
      <p className="font-medium">{title}</p>
      {children && <div className="max-w-md text-sm text-soft">{children}</div>}
    </div>
  );
}

/** Nothing is wrong, and when that was found. */
export function Calm({ words, at }: { words: string; at: Date }) {
  return (
    <p className="panel flex h-[46px] items-center gap-2.5 px-4">
      <CircleCheck aria-hidden size={16} className="shrink-0 text-ok" />
      <span>{words}</span>
      <span className="ml-auto text-sm whitespace-nowrap text-faint">
        checked <time dateTime={at.toISOString()} title={formatExact(at)}>{formatClock(at)}</time>
      </span>
    </p>
  );
}

/** Why something cannot be shown: what happened, what it means, what to do. */
export function Problem({ error, onRetry, what = 'This cannot be shown' }: { error: unknown; onRetry?: () => void; what?: string }) {
  const boshCode = isApiError(error) ? error.data?.boshCode : undefined;
  const forbidden = isApiError(error) && error.data?.code === 'FORBIDDEN';
  const unreachable = !isRefusal(error);
  const Icon = forbidden ? Lock : unreachable ? Unplug : CircleX;
  const title = forbidden ? 'You may not see this' : unreachable ? 'The director does not answer' : what;
  const advice = forbidden ? 'Ask an administrator for one of these scopes, then log in again.' : unreachable ? 'Trying again on any node that answers.' : undefined;
  return (
    <div role="alert" className="flex flex-col items-center gap-1 px-6 py-12 text-center">
      <Icon aria-hidden size={20} className={`mb-1 ${forbidden ? 'text-faint' : 'text-fail'}`} />
      <p className="font-medium">{title}</p>
      <p className="max-w-xl text-sm text-soft">{error instanceof Error ? error.message : String(error)}</p>
      {advice && <p className="text-sm text-soft">{advice}</p>}
      {boshCode !== undefined && <p className="text-sm text-faint">BOSH error code <span className="mono">{boshCode}</span></p>}
      {onRetry && !forbidden && (
        <button type="button" className="button mt-3" onClick={onRetry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Grey lines where rows will be, of the rows' height, so that nothing moves when they come. */
export function SkeletonRows({ rows = 8 }: { rows?: number }) {
  return (
    <div aria-busy="true" aria-label="Loading" role="status">
      {Array.from({ length: rows }, (_, index) => (
        <div key={index} className="flex h-8 items-center gap-6 px-3">
          <span className="skeleton h-3 w-16" />
          <span className="skeleton h-3" style={{ width: `${28 + ((index * 37) % 30)}%` }} />
          <span className="skeleton ml-auto h-3 w-20" />
        </div>
      ))}
    </div>
  );
}

/** Shows data as soon as there is any; else what is missing and why. */
export function Loaded<T>({ query, skeleton, children }: { query: { data: T | undefined; error: unknown; refetch: () => unknown }; skeleton?: ReactNode; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return <>{children(query.data)}</>;
  if (query.error) return <Problem error={query.error} onRetry={() => void query.refetch()} />;
  return <>{skeleton ?? <SkeletonRows />}</>;
}

'use client';

import { Unplug } from 'lucide-react';
import { isRefusal } from './api';
import { useOverview } from './queries';
import { formatDuration, useNow } from './time';

/** Old data is shown rather than none after this long without an answer, ms. */
const patienceMs = 3_000;

/** Tells that what the page shows is not fresh, how old it is, and that it is being tried again. */
export function StaleBanner() {
  const now = useNow();
  const { dataUpdatedAt, failureCount, failureReason } = useOverview();
  const age = now - dataUpdatedAt;
  if (failureCount === 0 || isRefusal(failureReason) || (dataUpdatedAt > 0 && age < patienceMs)) return <div role="status" className="sr-only" />;
  return (
    <div role="status" className="hatch border-b border-line-strong">
      <p className="flex items-center gap-2 bg-look-wash px-4 py-1.5 text-sm font-medium text-look sm:px-6">
        <Unplug aria-hidden size={14} className="shrink-0" />
        {dataUpdatedAt === 0 ? 'No director node answers yet. Trying again.' : `No node answers. You see what was known ${formatDuration(age)} ago; trying again.`}
      </p>
    </div>
  );
}

import type { Metadata } from 'next';
import { Attention } from './overview/attention';
import { RecentChanges } from './overview/recent-changes';
import { RunningTasks } from './overview/running-tasks';

export const metadata: Metadata = { title: 'Overview' };

export default function OverviewPage() {
  return (
    <>
      <h1 className="sr-only">Overview</h1>
      <Attention />
      <RunningTasks />
      <RecentChanges />
    </>
  );
}

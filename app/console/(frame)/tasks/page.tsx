import type { Metadata } from 'next';
import { Suspense } from 'react';
import { PageHeader } from '../../_ui/page-header';
import { SkeletonRows } from '../../_ui/states';
import { TaskList } from './task-list';

export const metadata: Metadata = { title: 'Tasks' };

export default function TasksPage() {
  return (
    <>
      <PageHeader title="Tasks" />
      <Suspense fallback={<SkeletonRows rows={16} />}>
        <TaskList />
      </Suspense>
    </>
  );
}

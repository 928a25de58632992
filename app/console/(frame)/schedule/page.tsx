import type { Metadata } from 'next';
import { Suspense } from 'react';
import { SkeletonRows } from '../../_ui/states';
import { ScheduleView } from './schedule-view';

export const metadata: Metadata = { title: 'Schedule' };

export default function SchedulePage() {
  return (
    <Suspense fallback={<SkeletonRows rows={16} />}>
      <ScheduleView />
    </Suspense>
  );
}

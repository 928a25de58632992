import type { Metadata } from 'next';
import { Suspense } from 'react';
import { SkeletonRows } from '../../_ui/states';
import { HealthView } from './health-view';

export const metadata: Metadata = { title: 'Health' };

export default function HealthPage() {
  return (
    <Suspense fallback={<SkeletonRows rows={16} />}>
      <HealthView />
    </Suspense>
  );
}

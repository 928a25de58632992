import type { Metadata } from 'next';
import { Suspense } from 'react';
import { SkeletonRows } from '../../_ui/states';
import { ClusterView } from './cluster-view';

export const metadata: Metadata = { title: 'Cluster' };

export default function ClusterPage() {
  return (
    <Suspense fallback={<SkeletonRows />}>
      <ClusterView />
    </Suspense>
  );
}

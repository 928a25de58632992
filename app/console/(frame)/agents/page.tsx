import type { Metadata } from 'next';
import { Suspense } from 'react';
import { SkeletonRows } from '../../_ui/states';
import { AgentsView } from './agents-view';

export const metadata: Metadata = { title: 'Agents' };

export default function AgentsPage() {
  return (
    <Suspense fallback={<SkeletonRows rows={16} />}>
      <AgentsView />
    </Suspense>
  );
}

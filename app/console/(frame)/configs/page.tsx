import type { Metadata } from 'next';
import { Suspense } from 'react';
import { PageHeader } from '../../_ui/page-header';
import { SkeletonRows } from '../../_ui/states';
import { ConfigBrowser } from './config-browser';

export const metadata: Metadata = { title: 'Configs' };

export default function ConfigsPage() {
  return (
    <>
      <PageHeader title="Configs" />
      <Suspense fallback={<SkeletonRows />}>
        <ConfigBrowser />
      </Suspense>
    </>
  );
}

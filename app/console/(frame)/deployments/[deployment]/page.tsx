import type { Metadata } from 'next';
import { Suspense } from 'react';
import { SkeletonRows } from '../../../_ui/states';
import { DeploymentView } from './deployment-view';

interface Props {
  params: Promise<{ deployment: string }>;
}

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  return { title: decodeURIComponent((await params).deployment) };
}

export default async function DeploymentPage({ params }: Props) {
  const name = decodeURIComponent((await params).deployment);
  return (
    <Suspense fallback={<SkeletonRows />}>
      <DeploymentView name={name} />
    </Suspense>
  );
}

import type { Metadata } from 'next';
import { Suspense } from 'react';
import { SkeletonRows } from '../../../../../_ui/states';
import { InstanceView } from './instance-view';

interface Props {
  params: Promise<{ deployment: string; uuid: string }>;
}

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  return { title: `Instance in ${decodeURIComponent((await params).deployment)}` };
}

export default async function InstancePage({ params }: Props) {
  const { deployment, uuid } = await params;
  return (
    <Suspense fallback={<SkeletonRows />}>
      <InstanceView deployment={decodeURIComponent(deployment)} uuid={uuid} />
    </Suspense>
  );
}

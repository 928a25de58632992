import type { Metadata } from 'next';
import { notFound } from 'next/navigation';
import { Suspense } from 'react';
import { SkeletonRows } from '../../../_ui/states';
import { TaskView } from './task-view';

interface Props {
  params: Promise<{ task: string }>;
}

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  return { title: `Task ${(await params).task}` };
}

export default async function TaskPage({ params }: Props) {
  const { task } = await params;
  if (!/^[1-9]\d{0,14}$/.test(task)) notFound();
  return (
    <Suspense fallback={<SkeletonRows />}>
      <TaskView id={Number(task)} />
    </Suspense>
  );
}

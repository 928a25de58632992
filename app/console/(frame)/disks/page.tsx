import type { Metadata } from 'next';
import { PageHeader } from '../../_ui/page-header';
import { DisksView } from './disks-view';

export const metadata: Metadata = { title: 'Disks' };

export default function DisksPage() {
  return (
    <>
      <PageHeader title="Disks" />
      <DisksView />
    </>
  );
}

import type { Metadata } from 'next';
import { PageHeader } from '../../_ui/page-header';
import { ReleaseList } from './release-list';

export const metadata: Metadata = { title: 'Releases' };

export default function ReleasesPage() {
  return (
    <>
      <PageHeader title="Releases" />
      <ReleaseList />
    </>
  );
}

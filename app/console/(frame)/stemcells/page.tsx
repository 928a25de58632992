import type { Metadata } from 'next';
import { PageHeader } from '../../_ui/page-header';
import { StemcellList } from './stemcell-list';

export const metadata: Metadata = { title: 'Stemcells' };

export default function StemcellsPage() {
  return (
    <>
      <PageHeader title="Stemcells" />
      <StemcellList />
    </>
  );
}

import type { Metadata } from 'next';
import Link from 'next/link';
import { PageHeader } from '../../_ui/page-header';
import { DeploymentList } from './deployment-list';

export const metadata: Metadata = { title: 'Deployments' };

export default function DeploymentsPage() {
  return (
    <>
      <PageHeader title="Deployments" actions={<Link className="button" href="/console/deploy">New deployment</Link>} />
      <DeploymentList />
    </>
  );
}

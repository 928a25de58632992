import type { Metadata } from 'next';
import Link from 'next/link';
import { PageHeader } from '../../../../_ui/page-header';
import { VariableList } from './variable-list';

interface Props {
  params: Promise<{ deployment: string }>;
}

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  return { title: `Variables of ${decodeURIComponent((await params).deployment)}` };
}

export default async function VariablesPage({ params }: Props) {
  const name = decodeURIComponent((await params).deployment);
  return (
    <>
      <PageHeader up={<Link className="link" href={`/console/deployments/${encodeURIComponent(name)}`}>{name}</Link>} title="Variables" />
      <VariableList deployment={name} />
    </>
  );
}

import type { Metadata } from 'next';
import { DeployView } from '../../../deploy/deploy-view';

interface Props {
  params: Promise<{ deployment: string }>;
}

export async function generateMetadata({ params }: Props): Promise<Metadata> {
  return { title: `Deploy ${decodeURIComponent((await params).deployment)}` };
}

export default async function DeployPage({ params }: Props) {
  return <DeployView name={decodeURIComponent((await params).deployment)} />;
}

import type { Metadata } from 'next';
import { DeployView } from './deploy-view';

export const metadata: Metadata = { title: 'New deployment' };

export default function NewDeploymentPage() {
  return <DeployView />;
}

import type { Database } from '../../db/client';
import type { Agents } from '../agents/agent';
import type { Blobstore } from '../blobstore/blobstore';
import type { DiskCalls } from '../cpi/disk-calls';
import type { NetworkCalls } from '../cpi/network-calls';
import type { VmCalls } from '../cpi/vm-calls';
import type { DirectorFacts } from '../plan/recorded';
import type { TaskContext } from '../tasks/context';
import type { RenderedJob, RenderJob } from '../templates/render-job';
import type { VariableBackend } from '../variables/backend';

/** What a deploy needs from the outside world; made in director.ts. */
export interface DeployDeps {
  db: Database;
  blobstore: Blobstore;
  agents: Agents;
  /** Calls of the CPI of that name; '' is the director's own. */
  cpi: (name: string) => VmCalls;
  disks: DiskCalls;
  /** Undefined: the director does not manage networks. */
  networks?: NetworkCalls | undefined;
  renderer: { render(job: RenderJob, scope: string, signal?: AbortSignal): Promise<RenderedJob> };
  nats: NatsPort;
  variables: VariableBackend;
  settings: DeploySettings;
}

export interface DeploySettings {
  director: Omit<DirectorFacts, 'ownAddresses'> & { uuid: string; ownAddresses: () => Promise<readonly string[]> };
  /** VMs created or deleted at a time. */
  maxThreads: number;
  maxVmCreateTries: number;
  /** ms. */
  agentWaitTimeoutMs: number;
  /** Under `env.bosh` of every VM. */
  agentEnv: Record<string, unknown>;
  natsUrls: readonly string[];
  /** `env.bosh.blobstores` and the `blobstores` of update_settings. */
  agentBlobstores: readonly Record<string, unknown>[];
  shortLivedBootstrapCredentials: boolean;
  /** Disks are resized, or changed in any way, by the CPI where it can, instead of being copied. */
  cpiResizesDisks: boolean;
  cpiUpdatesDisks: boolean;
  /** Snapshots of disks are made when instances were stopped. */
  snapshots: boolean;
  /** Agents get their templates over NATS. Only tests leave it out. */
  natsDeliveredTemplates?: boolean;
  /** PEM of the CAs that VMs are told to trust; `director.trustedCertsSha1` is its digest. Only tests leave it out. */
  trustedCerts?: string;
}

export interface NatsPort {
  /** Certificate with which a VM boots, and the one that it keeps; PEM. */
  bootstrapCertificate(agentId: string): Promise<AgentCertificate>;
  permanentCertificate(agentId: string): Promise<AgentCertificate>;
  /** NATS servers of a VM in this AZ after a move of the bus; undefined: those of the settings. */
  movedUrls(az: string | null): Promise<readonly string[] | undefined>;
  /** Resolves when every live NATS server lets the agents in that are recorded now. */
  awaitAuthorised(ctx: TaskContext): Promise<void>;
}

export interface AgentCertificate {
  ca: string;
  certificate: string;
  private_key: string;
}

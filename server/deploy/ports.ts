import type { Database } from '../../db/client';
import type { Agents } from '../agents/agent';
import type { Blobstore } from '../blobstore/blobstore';
import type { DirectorFacts } from '../plan/types';
import type { TaskContext } from '../tasks/context';
import type { RenderedJob, RenderJob } from '../templates/render-job';

/** What a deploy needs from the outside world; made in director.ts. */
export interface DeployDeps {
  db: Database;
  blobstore: Blobstore;
  agents: Agents;
  cpi: CpiPort;
  renderer: { render(job: RenderJob, scope: string): Promise<RenderedJob> };
  nats: NatsPort;
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
}

/** CPI calls of a deploy; each goes through `ctx.fence()`, and its process is killed when the task is lost. */
export interface CpiPort {
  createVm(ctx: TaskContext, request: CreateVmRequest): Promise<string>;
  /** A VM that the cloud does not know counts as deleted. */
  deleteVm(ctx: TaskContext, cid: string, stemcellApiVersion: number | null): Promise<void>;
  /** Undefined when the CPI cannot tell. */
  hasVm(ctx: TaskContext, cid: string): Promise<boolean | undefined>;
  setVmMetadata(ctx: TaskContext, cid: string, metadata: Record<string, string>): Promise<void>;
}

export interface CreateVmRequest {
  agentId: string;
  stemcellCid: string;
  stemcellApiVersion: number | null;
  cloudProperties: Record<string, unknown>;
  networks: Record<string, unknown>;
  env: Record<string, unknown>;
}

export interface NatsPort {
  /** Certificate with which a VM boots, and the one that it keeps; PEM. */
  bootstrapCertificate(agentId: string): Promise<AgentCertificate>;
  permanentCertificate(agentId: string): Promise<AgentCertificate>;
  /** Resolves when every live NATS server lets the agents in that are recorded now. */
  awaitAuthorised(ctx: TaskContext): Promise<void>;
}

export interface AgentCertificate {
  ca: string;
  certificate: string;
  private_key: string;
}

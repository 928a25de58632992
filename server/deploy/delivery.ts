import type { ApplySpec, RenderedTemplatesArchive } from '../instances/instance';
import type { AgentTarget } from '../agents/agent';
import type { TaskContext } from '../tasks/context';
import type { DeployDeps } from './ports';

/** How packages and templates come to an agent: from its own blobstore, or without credentials for one. */

/** Who is supplied. */
export interface Recipient {
  agent: AgentTarget;
  /** Of its stemcell; null when unknown. */
  apiVersion: number | null;
}

/** Life of signed URLs, s. */
const signedForS = 86_400;

function signsUrlsFor(deps: DeployDeps, recipient: Pick<Recipient, 'apiVersion'>): boolean {
  return deps.blobstore.signsUrls && (recipient.apiVersion ?? 1) >= 3;
}

/** Agents without blobstore credentials get a URL for each package; it is never recorded. */
export async function withSignedUrls(deps: DeployDeps, recipient: Pick<Recipient, 'apiVersion'>, spec: ApplySpec): Promise<ApplySpec> {
  if (!signsUrlsFor(deps, recipient)) return spec;
  const packages = await Promise.all(Object.entries(spec.packages).map(async ([name, pkg]) => [name, { ...pkg, signed_url: await deps.blobstore.sign(pkg.blobstore_id, 'get', signedForS) }] as const));
  return { ...spec, packages: Object.fromEntries(packages) };
}

/**
 * Brings templates to an agent over NATS, just before they are needed: where the director is told to, and to agents without credentials,
 * because templates have no URL form. They are in the blobstore as well, from where an agent that does not take them fetches them.
 * Repeating it is harmless. Fallback: cloudfoundry/bosh src/bosh-director/lib/bosh/director/rendered_templates_persister.rb.
 */
export async function sendTemplates(ctx: TaskContext, deps: DeployDeps, recipient: Recipient, archive: RenderedTemplatesArchive | undefined): Promise<void> {
  if (!archive || !(deps.settings.natsDeliveredTemplates || signsUrlsFor(deps, recipient))) return;
  const content = await deps.blobstore.read(archive.blobstore_id, archive.sha1);
  const taken = await deps.agents.agentFor(recipient.agent, ctx).uploadBlob({ blobId: archive.blobstore_id, digest: archive.sha1, content });
  if (!taken) ctx.log.warn(`Agent of '${recipient.agent.name}' does not take templates over NATS and has to fetch them from its blobstore`);
}

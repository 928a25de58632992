import { describeError, isDirectorError } from '../core/errors';
import { sha256Hex } from '../core/digest';
import { isHash, type Hash } from '../core/yaml';
import { jobErrorTextOf, linkErrorText } from '../templates/errors';
import type { RenderJob } from '../templates/render-job';
import type { DeploymentVariables } from './variables';

/** What of a job may hold placeholders. */
interface JobValues {
  jobName: string;
  context: { properties: object; links: object };
}

export type ResolvedJobs<J = RenderJob> = { ok: true; jobs: readonly J[] } | { ok: false; errors: string[] };

/**
 * Jobs with the values of variables in their properties and links; all that cannot be had is told by job, then by
 * link: cloudfoundry/bosh src/bosh-director/lib/bosh/director/config_server/variables_interpolator.rb.
 */
export async function resolveJobs<J extends JobValues>(jobs: readonly J[], variables: DeploymentVariables): Promise<ResolvedJobs<J>> {
  const withProperties = await attemptAll(jobs, async (job) => ({ ...job, context: { ...job.context, properties: await variables.own.resolve(job.context.properties) } }), (job, text) => jobErrorTextOf(job.jobName, text));
  if (!withProperties.ok) return { ok: false, errors: withProperties.errors };
  const errors: string[] = [];
  const resolved: J[] = [];
  for (const job of withProperties.results) {
    const links = await attemptAll(Object.entries(job.context.links), async ([name, link]: [string, unknown]) => [name, await resolveLink(link, variables)] as const, ([name, link], text) => linkErrorText(name, providerOf(link), text));
    if (links.ok) resolved.push({ ...job, context: { ...job.context, links: Object.fromEntries(links.results) } });
    else errors.push(...links.errors);
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, jobs: resolved };
}

/** What decides the values in the jobs, as a digest of versions; undefined when they cannot all be had, which `resolveJobs` will tell. */
export async function valuesKey(jobs: readonly RenderJob[], variables: DeploymentVariables): Promise<string | undefined> {
  try {
    const versions = await Promise.all(jobs.map(async ({ context }) => {
      const links = await Promise.all(Object.values(context.links).map(async (link: unknown) => (await variables.ofProvider(providerOf(link))).versionsIn(valuesOf(link))));
      return [await variables.own.versionsIn(context.properties), ...links];
    }));
    return sha256Hex(JSON.stringify(versions));
  } catch (error) {
    if (isDirectorError(error)) return undefined;
    throw error;
  }
}

async function resolveLink(link: unknown, variables: DeploymentVariables): Promise<unknown> {
  if (!isHash(link)) return link;
  return { ...link, ...(await (await variables.ofProvider(providerOf(link))).resolve(valuesOf(link))) };
}

function providerOf(link: unknown): string {
  return isHash(link) && typeof link.deployment_name === 'string' ? link.deployment_name : '';
}

/** The parts of a link's content that may hold placeholders. */
function valuesOf(link: unknown): Hash {
  if (!isHash(link)) return {};
  return { ...('properties' in link ? { properties: link.properties } : {}), ...('instances' in link ? { instances: link.instances } : {}) };
}

type Attempts<R> = { ok: true; results: R[] } | { ok: false; errors: string[] };

/** Works on all items; failures that operators may see become texts. */
async function attemptAll<T, R>(items: readonly T[], work: (item: T) => Promise<R>, textOf: (item: T, message: string) => string): Promise<Attempts<R>> {
  const results: R[] = [];
  const errors: string[] = [];
  for (const item of items) {
    try {
      results.push(await work(item));
    } catch (error) {
      if (!isDirectorError(error)) throw error;
      errors.push(textOf(item, describeError(error).message));
    }
  }
  return errors.length > 0 ? { ok: false, errors } : { ok: true, results };
}

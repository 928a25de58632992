import { randomUUID } from 'node:crypto';
import { parseYaml } from '../core/yaml';
import { mapPool } from '../core/concurrency';
import { sha256Hex } from '../core/digest';
import { templateSpec } from '../plan/specs';
import type { BoundJob, GroupPlan, InstancePlan, Plan, RenderedHashes } from '../plan/types';
import { linkGroupName } from '../dns/names';
import { deploymentRenderError, groupErrorText, RenderError } from '../templates/errors';
import { configurationHash, templateHashes, withLinksFile, type ProvidedLink } from '../templates/instance';
import { jobSources, readJobArchive } from '../templates/job-archive';
import { encodeJob, jobKey, type DnsIds, type RenderedJob, type RenderJob } from '../templates/render-job';
import { linkIds, ownLinkGroupIds } from './dns-ids';
import type { DeployDeps } from './ports';
import { resolveJobs, valuesKey } from './resolve-jobs';
import { listRenderInputs, type RenderInput } from './store';
import type { DeploymentVariables } from './variables';

/** What an instance's templates come to. */
export interface RenderedInstance {
  hashes: RenderedHashes;
  /** Identifies everything that decides the content. */
  inputKey: string;
  /** The hashes are those of an earlier deploy with the same inputs. */
  reused: boolean;
  /** The newest templates that the instance has been given. */
  archive?: RenderInput;
  /** The contents; rendered now if an earlier deploy's hashes could be used. */
  jobs(): Promise<readonly RenderedJob[]>;
}

type JobSources = Pick<RenderJob, 'jobName' | 'monit' | 'templates' | 'propertiesSchema'>;

/** Reads each job archive once per task. */
export class JobSourceCache {
  readonly #deps: Pick<DeployDeps, 'blobstore'>;
  readonly #sources = new Map<string, Promise<JobSources>>();

  constructor(deps: Pick<DeployDeps, 'blobstore'>) {
    this.#deps = deps;
  }

  get(job: BoundJob): Promise<JobSources> {
    const known = this.#sources.get(job.record.blobstoreId);
    if (known) return known;
    const reading = this.#read(job);
    this.#sources.set(job.record.blobstoreId, reading);
    return reading;
  }

  async #read(job: BoundJob): Promise<JobSources> {
    const archive = await this.#deps.blobstore.read(job.record.blobstoreId, job.record.sha1);
    return jobSources(await readJobArchive(archive, { jobName: job.name, parseYaml }));
  }
}

/** On whose behalf templates are rendered. */
export interface RenderCaller {
  /** Renderings of the same scope may run in one Ruby VM, one after another. */
  scope: string;
  signal: AbortSignal;
  /** Rejects when there is no reason to go on. */
  checkpoint(): Promise<void>;
}

export type RenderDeps = Pick<DeployDeps, 'db' | 'blobstore' | 'renderer'>;

/** What rendering draws on. */
export interface RenderMeans {
  sources: JobSourceCache;
  variables: DeploymentVariables;
}

/**
 * Renders all instances of the plan. Every group is attempted, of a failing group only the first failing instance is reported,
 * of an instance all failing jobs: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/update_deployment.rb.
 * Nothing is rendered from inputs that are those of the instance's last templates. Of errands that wait for their run and of groups
 * without instances only the values are looked up.
 */
export async function renderPlan(caller: RenderCaller, deps: RenderDeps, plan: Plan, { sources, variables }: RenderMeans): Promise<Map<string, RenderedInstance>> {
  const rendered = new Map<string, RenderedInstance>();
  const known = await listRenderInputs(deps.db, plan.groups.flatMap((group) => group.instances.flatMap((instance) => instance.existing?.id ?? [])));
  const context = await renderContext(deps, plan, { sources, variables });
  const failures: string[] = [];
  for (const group of plan.groups) {
    const failure = group.dormant || group.instances.length === 0 ? await missingValues(group, variables) : await renderGroup(group);
    if (failure !== undefined) failures.push(failure);
  }
  if (failures.length > 0) throw deploymentRenderError(failures);
  return rendered;

  async function renderGroup({ name, instances }: GroupPlan): Promise<string | undefined> {
    let failure: string | undefined;
    await mapPool(instances, 8, async (instance) => {
      if (failure !== undefined) return;
      await caller.checkpoint();
      const input = await renderInput(instance, plan, context);
      const last = instance.existing && known.get(instance.existing.id);
      const render = () => renderJobs(caller, deps, { jobs: input.jobs, variables });
      if (last?.inputKey === input.key && last.templateHashes !== null) {
        rendered.set(instance.uuid, { inputKey: input.key, reused: true, hashes: { configurationHash: last.contentSha1, templateHashes: last.templateHashes }, jobs: async () => contentsOf(await render()) });
        return;
      }
      const outcome = await render();
      if (outcome.ok) rendered.set(instance.uuid, { ...(last ? { archive: last } : {}), inputKey: input.key, reused: false, hashes: hashesOf(outcome.jobs), jobs: async () => outcome.jobs });
      else failure ??= failureText(name, outcome);
    });
    return failure;
  }
}

/**
 * Of a group that nothing is rendered for now: fixes the versions of what its jobs use, so that an errand runs with the values of its
 * deploy, and tells what cannot be had.
 */
async function missingValues({ name, jobs }: GroupPlan, variables: DeploymentVariables): Promise<string | undefined> {
  const resolved = await resolveJobs(jobs.map((job) => ({ jobName: job.name, context: { properties: job.properties, links: job.links } })), variables);
  return resolved.ok ? undefined : groupErrorText(name, resolved.errors);
}

/** Renders one instance of the plan anew, because it has got addresses that were not known before. Throws what `renderPlan` throws. */
export async function renderAgain(caller: RenderCaller, deps: RenderDeps, { plan, ...means }: RenderMeans & { plan: Plan }, instance: InstancePlan): Promise<RenderedInstance> {
  const input = await renderInput(instance, plan, await renderContext(deps, plan, means));
  const outcome = await renderJobs(caller, deps, { jobs: input.jobs, variables: means.variables });
  if (!outcome.ok) throw deploymentRenderError([failureText(instance.group, outcome)]);
  return { inputKey: input.key, reused: false, hashes: hashesOf(outcome.jobs), jobs: async () => outcome.jobs };
}

/** `badProperties`: text of the first job whose properties do not fit their schema; then nothing else counts, as if nothing had been rendered. */
interface Failed {
  ok: false;
  errors: string[];
  badProperties: string | undefined;
}

type Outcome = { ok: true; jobs: readonly RenderedJob[] } | Failed;

function failureText(group: string, { errors, badProperties }: Failed): string {
  return badProperties ?? groupErrorText(group, errors);
}

function contentsOf(outcome: Outcome): readonly RenderedJob[] {
  if (outcome.ok) return outcome.jobs;
  throw deploymentRenderError(outcome.badProperties === undefined ? outcome.errors : [outcome.badProperties]);
}

function hashesOf(jobs: readonly RenderedJob[]): RenderedHashes {
  return jobs.length === 0 ? { templateHashes: {} } : { configurationHash: configurationHash(jobs), templateHashes: templateHashes(jobs) };
}

interface RenderContext extends RenderMeans {
  dnsOf: (job: BoundJob) => DnsIds;
  /** Id in DNS of a group of links that the deployment provides. */
  linkGroupId: (linkGroup: string) => string;
}

async function renderContext(deps: RenderDeps, plan: Plan, means: RenderMeans): Promise<RenderContext> {
  return { ...means, dnsOf: await linkIds(deps.db, plan), linkGroupId: await ownLinkGroupIds(deps.db, plan) };
}

/** A job to render, and the links that it provides. */
interface JobInput {
  job: RenderJob;
  provided: readonly ProvidedLink[];
}

/** The key is made of the versions of variables, not of their values: it is recorded, and secrets could be guessed by a digest of them. */
async function renderInput(instance: InstancePlan, plan: Plan, context: RenderContext): Promise<{ key: string; jobs: JobInput[] }> {
  const jobs = await Promise.all(
    instance.jobs.map(async (job): Promise<JobInput> => ({
      job: { ...(await context.sources.get(job)), context: templateSpec(instance, job, plan), dns: context.dnsOf(job) },
      provided: plan.links.providers.filter((one) => one.group === instance.group && one.job === job.name).map(({ name, type }) => ({ name, type, group: context.linkGroupId(linkGroupName({ name, type })) })),
    })),
  );
  // Of names that cannot be had there is no key that could be known.
  const values = (await valuesKey(jobs.map(({ job }) => job), context.variables)) ?? randomUUID();
  return { key: sha256Hex([...jobs.map(({ job, provided }) => `${jobKey(job, encodeJob(job))}${JSON.stringify(provided)}`), values].join('\n')), jobs };
}

async function renderJobs(caller: RenderCaller, deps: RenderDeps, { jobs, variables }: { jobs: readonly JobInput[]; variables: DeploymentVariables }): Promise<Outcome> {
  const resolved = await resolveJobs(jobs.map(({ job }) => job), variables);
  if (!resolved.ok) return { ...resolved, badProperties: undefined };
  const rendered: RenderedJob[] = [];
  const errors: string[] = [];
  let badProperties: string | undefined;
  for (const [i, job] of resolved.jobs.entries()) {
    try {
      rendered.push(withLinksFile(await deps.renderer.render(job, caller.scope, caller.signal), jobs[i]?.provided ?? []));
    } catch (error) {
      if (!(error instanceof RenderError)) throw error;
      errors.push(error.message);
      if (error.stage === 'properties') badProperties ??= error.message;
    }
  }
  return errors.length > 0 ? { ok: false, errors, badProperties } : { ok: true, jobs: rendered };
}

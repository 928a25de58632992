import { parseYaml } from '../core/yaml';
import { mapPool } from '../core/concurrency';
import { templateSpec } from '../plan/specs';
import type { BoundJob, InstancePlan, Plan, RenderedHashes } from '../plan/types';
import type { TaskContext } from '../tasks/context';
import { deploymentRenderError, groupErrorText, RenderError } from '../templates/errors';
import { configurationHash, templateHashes, withLinksFile } from '../templates/instance';
import { jobSources, readJobArchive } from '../templates/job-archive';
import { noDnsIds, type RenderedJob, type RenderJob } from '../templates/render-job';
import type { DeployDeps } from './ports';

/** An instance's rendered jobs and what they hash to. */
export interface RenderedInstance {
  jobs: readonly RenderedJob[];
  hashes: RenderedHashes;
}

type JobSources = Pick<RenderJob, 'jobName' | 'monit' | 'templates'>;

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

/**
 * Renders all instances of the plan. Every group is attempted, of a failing group only the first failing instance is reported,
 * of an instance all failing jobs: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/update_deployment.rb.
 */
export async function renderPlan(ctx: TaskContext, deps: DeployDeps, plan: Plan, sources: JobSourceCache): Promise<Map<string, RenderedInstance>> {
  const rendered = new Map<string, RenderedInstance>();
  const failures: string[] = [];
  for (const group of plan.groups) {
    let groupFailure: string | undefined;
    await mapPool(group.instances, 8, async (instance) => {
      if (groupFailure !== undefined) return;
      await ctx.checkpoint();
      const outcome = await renderInstance(ctx, deps, instance, plan, sources);
      if (outcome.ok) rendered.set(instance.uuid, outcome.instance);
      else groupFailure ??= groupErrorText(group.name, outcome.errors);
    });
    if (groupFailure !== undefined) failures.push(groupFailure);
  }
  if (failures.length > 0) throw deploymentRenderError(failures);
  return rendered;
}

type Outcome = { ok: true; instance: RenderedInstance } | { ok: false; errors: string[] };

async function renderInstance(ctx: TaskContext, deps: DeployDeps, instance: InstancePlan, plan: Plan, sources: JobSourceCache): Promise<Outcome> {
  const jobs: RenderedJob[] = [];
  const errors: string[] = [];
  for (const job of instance.jobs) {
    const context = templateSpec(instance, job, plan);
    try {
      const result = await deps.renderer.render({ ...(await sources.get(job)), context, dns: noDnsIds }, `task-${ctx.taskId}-${ctx.epoch}`);
      jobs.push(withLinksFile(result, []));
    } catch (error) {
      if (!(error instanceof RenderError)) throw error;
      errors.push(error.message);
    }
  }
  if (errors.length > 0) return { ok: false, errors };
  const hashes: RenderedHashes = jobs.length === 0 ? { templateHashes: {} } : { configurationHash: configurationHash(jobs), templateHashes: templateHashes(jobs) };
  return { ok: true, instance: { jobs, hashes } };
}

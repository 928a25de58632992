import type { AgentContext } from '../agent-context';
import { checkNetworks, parseApplySpec, withCloudAddresses, type ApplySpec } from '../apply-spec';
import type { ProcessReport } from '../monit/job-supervisor';
import type { Actions } from '../protocol';
import type { BootSettings } from '../settings';
import type { Vitals } from '../vitals';

/** Actions about the spec: prepare, apply, get_state. */
export function specActions(context: AgentContext, vitals: () => Promise<Vitals>): Actions {
  const readSpec = (value: unknown): ApplySpec => {
    const spec = parseApplySpec(value);
    const { networks } = context.settings.boot();
    checkNetworks(spec, networks);
    return withCloudAddresses(spec, networks);
  };
  return {
    prepare: {
      mode: 'async',
      required: 1,
      run: async ({ args }) => {
        await context.installer.prepare(parseApplySpec(args[0]));
        return 'prepared';
      },
    },
    apply: {
      mode: 'async',
      required: 1,
      run: async ({ args }) => {
        const spec = readSpec(args[0]);
        // Without a configuration the spec only says who the VM is.
        if (spec.configuration_hash !== '') {
          await context.jobs.removeAll();
          await context.installer.apply(spec);
        }
        await context.specs.save(spec);
        return 'applied';
      },
    },
    get_state: { mode: 'sync', run: async ({ args }) => buildState(context, args[0] === 'full' ? await vitals() : undefined) },
  };
}

/** What the reports are made of. */
export interface ReportSource {
  specs: { current(): ApplySpec };
  settings: { boot(): BootSettings };
  jobs: { jobState(): string; processes(): ProcessReport[] };
}

/** The answer to `get_state`: the spec as the agent keeps it, and how things are. */
export function buildState(context: ReportSource, vitals: Vitals | undefined): Record<string, unknown> {
  const { resource_pool, job, ...spec } = context.specs.current();
  const processes = context.jobs.processes();
  const boot = context.settings.boot();
  return {
    ...spec,
    job: { ...job, name: job.name === '' ? null : job.name },
    resource_pool: resource_pool ?? {},
    agent_id: boot.agent_id,
    job_state: context.jobs.jobState(),
    ...(vitals === undefined ? {} : { vitals }),
    ...(processes.length === 0 ? {} : { processes }),
    vm: { name: boot.vm.name },
  };
}

/** A heartbeat, as JSON text. */
export function buildHeartbeat(context: Pick<ReportSource, 'specs' | 'jobs'>, vitals: Vitals): string {
  const spec = context.specs.current();
  return JSON.stringify({
    deployment: spec.deployment,
    job: spec.job.name === '' ? null : spec.job.name,
    index: spec.index,
    job_state: context.jobs.jobState(),
    vitals,
    node_id: spec.id,
    number_of_processes: context.jobs.processes().length,
  });
}

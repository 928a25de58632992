import { access, appendFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { sleep } from '../../../core/clock';
import type { AgentContext } from '../agent-context';
import { jobNames, parseApplySpec, type ApplySpec } from '../apply-spec';
import { readArgument } from '../arguments';
import { runCommand } from '../command';
import { safeName } from '../install';
import type { Actions } from '../protocol';

const scriptOptions = z
  .object({
    env: z
      .record(z.string(), z.string())
      .nullish()
      .transform((value) => value ?? {}),
  })
  .nullish()
  .transform((value) => value ?? { env: {} });

/** Actions that run the jobs' scripts: run_script, drain, run_errand. */
export function scriptActions(context: AgentContext): Actions {
  return {
    run_script: {
      mode: 'async',
      required: 2,
      run: async (call) => {
        const name = readArgument(call, 0, z.string().regex(/^[\w.-]+$/));
        const { env } = readArgument(call, 1, scriptOptions);
        await runInAllJobs(context, name, (job, path) => runLogged(context, { job, name, path, env }));
        return {};
      },
    },
    drain: { mode: 'async', required: 1, cancellable: true, run: (call) => drain(context, call.args, call.signal) },
    run_errand: {
      mode: 'async',
      cancellable: true,
      run: async (call) => {
        const spec = context.specs.current();
        const name = readArgument(call, 0, z.string().nullish()) ?? spec.job.template;
        if (name === '' || !jobNames(spec).includes(name)) throw new Error(`Could not find errand ${name}`);
        const path = join(context.base, 'jobs', safeName(name), 'bin', 'run');
        const result = await runCommand([path], { env: context.env, signal: call.signal, whenAborted: 'terminate' });
        return { stdout: result.stdout, stderr: result.stderr, exit_code: result.status };
      },
    },
  };
}

/**
 * Runs a script in every job that has it, all at the same time; the error names the jobs in which it failed.
 * `run` resolves to whether it succeeded.
 */
async function runInAllJobs(context: AgentContext, name: string, run: (job: string, path: string) => Promise<boolean>): Promise<void> {
  const failed: string[] = [];
  const passed: string[] = [];
  await Promise.all(
    jobNames(context.specs.current()).map(async (job) => {
      const path = join(context.base, 'jobs', safeName(job), 'bin', name);
      const present = await access(path).then(
        () => true,
        () => false,
      );
      if (present) (await run(job, path) ? passed : failed).push(job);
    }),
  );
  if (failed.length === 0) return;
  const successes = passed.length === 0 ? '' : ` Successful Jobs: ${passed.join(', ')}.`;
  throw new Error(`${failed.length} of ${failed.length + passed.length} ${name} scripts failed. Failed Jobs: ${failed.join(', ')}.${successes}`);
}

async function runLogged(context: AgentContext, script: { job: string; name: string; path: string; env: Record<string, string>; args?: string[]; signal?: AbortSignal }): Promise<boolean> {
  const { stdout, ok } = await runWithLogs(context, script);
  context.log.info('script-ended', { job: script.job, script: script.name, ok, bytes: stdout.length });
  return ok;
}

/** Runs a script and appends its output to `sys/log/<job>/<name>.{stdout,stderr}.log`. */
async function runWithLogs(
  context: AgentContext,
  script: { job: string; name: string; path: string; env: Record<string, string>; args?: string[]; signal?: AbortSignal },
): Promise<{ stdout: string; ok: boolean }> {
  const logs = join(context.base, 'sys', 'log', script.job);
  await mkdir(logs, { recursive: true });
  const options = { env: { ...context.env, ...script.env }, ...(script.signal === undefined ? {} : { signal: script.signal }) };
  try {
    const { status, stdout, stderr } = await runCommand([script.path, ...(script.args ?? [])], options);
    await appendFile(join(logs, `${script.name}.stdout.log`), stdout);
    await appendFile(join(logs, `${script.name}.stderr.log`), stderr);
    return { stdout, ok: status === 0 };
  } catch (error) {
    script.signal?.throwIfAborted();
    await appendFile(join(logs, `${script.name}.stderr.log`), `${error instanceof Error ? error.message : String(error)}\n`);
    return { stdout: '', ok: false };
  }
}

/** `drain update <new spec>` or `drain shutdown [<new spec>]`; the answer is always 0, since the agent itself waits for dynamic drains. */
async function drain(context: AgentContext, args: unknown[], signal: AbortSignal): Promise<number> {
  const type = readArgument({ args }, 0, z.enum(['update', 'shutdown'], { error: "Unknown drain type, expected 'update' or 'shutdown'" }));
  const next = args[1] === undefined || args[1] === null ? undefined : parseApplySpec(args[1]);
  if (type === 'update' && next === undefined) throw new Error('Drain update requires new spec');
  const current = context.specs.current();
  if (type === 'shutdown') context.publish(`hm.agent.shutdown.${context.settings.boot().agent_id}`, 'null');
  await context.jobs.unmonitorAll();
  const words = type === 'shutdown' || next === undefined ? ['job_shutdown', 'hash_unchanged'] : describeChange(current, next);
  const env = { BOSH_JOB_STATE: jobState(current), ...(next === undefined ? {} : { BOSH_JOB_NEXT_STATE: jobState(next) }) };
  await runInAllJobs(context, 'drain', (job, path) => drainJob(context, { job, path, words, env, signal }));
  return 0;
}

/** Runs one drain script; a negative answer asks to be called again after that many seconds. */
async function drainJob(context: AgentContext, drain: { job: string; path: string; words: string[]; env: Record<string, string>; signal: AbortSignal }): Promise<boolean> {
  let args = drain.words;
  for (;;) {
    const { stdout, ok } = await runWithLogs(context, { job: drain.job, name: 'drain', path: drain.path, env: drain.env, args, signal: drain.signal });
    const seconds = Number(stdout.trim());
    if (!ok || stdout.trim() === '' || !Number.isInteger(seconds)) {
      context.log.warn('drain-failed', { job: drain.job, ok, output: stdout.slice(0, 200) });
      return false;
    }
    await sleep(Math.abs(seconds) * 1000, drain.signal);
    if (seconds >= 0) return true;
    args = ['job_check_status', 'hash_unchanged'];
  }
}

function describeChange(current: ApplySpec, next: ApplySpec): string[] {
  const job = jobNames(current).length === 0 ? 'job_new' : current.job.version === next.job.version ? 'job_unchanged' : 'job_changed';
  const hash = current.configuration_hash === '' ? 'hash_new' : current.configuration_hash === next.configuration_hash ? 'hash_unchanged' : 'hash_changed';
  const packages = Object.values(next.packages).filter((each) => current.packages[each.name]?.sha1 !== each.sha1);
  return [job, hash, ...packages.map((each) => each.name)];
}

const jobState = (spec: ApplySpec): string => JSON.stringify({ persistent_disk: spec.persistent_disk });

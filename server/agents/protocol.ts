import { z } from 'zod';

/**
 * What agents understand: methods, their results, and how each may be asked.
 * Source of names and shapes: cloudfoundry/bosh-agent agent/action; of timeouts and retries: cloudfoundry/bosh
 * src/bosh-director/lib/bosh/director/agent_client.rb.
 */

/** Protocol version that the director speaks. */
export const protocolVersion = 3;

/**
 * How a request may be repeated when its fate is unknown (a NATS server died, the agent was away).
 * Agents de-duplicate nothing, take messages in order and run long actions one after the other, so a repeated action has ended
 * before any later long action begins.
 * - `cheap`: answers at once and changes nothing (or the same again): asked again after 1.5 s, then in growing steps.
 * - `safe`: has the same end when done twice: asked again when there is evidence that it or its answer was lost. Lifecycle scripts and
 *   drain are here: every deploy after a failed one runs them again, so releases must bear it, and after the loss of a node the
 *   step is repeated anyway when the node died before it could note the agent's task id.
 * - `once`: never sent twice, unless a server said that nobody got it.
 */
export type Repeat = 'cheap' | 'safe' | 'once';

export interface MethodRule {
  repeat: Repeat;
  /** Patience per try, and how many tries make the whole patience. */
  tryMs: number;
  tries: number;
  /** Agents that do not know the method are passed over: the answer `unknown message` counts as an empty result. */
  optional?: true;
  /** Not written to the task's debug log. */
  quiet?: true;
}

const standard = { tryMs: 45_000, tries: 1 } as const;

export const methods = {
  ping: { repeat: 'cheap', ...standard },
  info: { repeat: 'cheap', ...standard, optional: true },
  get_state: { repeat: 'cheap', tryMs: 45_000, tries: 3 },
  get_task: { repeat: 'cheap', tryMs: 45_000, tries: 5 },
  cancel_task: { repeat: 'cheap', ...standard },
  list_disk: { repeat: 'cheap', ...standard },
  sync_dns: { repeat: 'cheap', tryMs: 10_000, tries: 1, quiet: true },
  sync_dns_with_signed_url: { repeat: 'cheap', tryMs: 10_000, tries: 1, quiet: true },
  prepare: { repeat: 'safe', ...standard },
  apply: { repeat: 'safe', ...standard },
  start: { repeat: 'safe', ...standard },
  stop: { repeat: 'safe', ...standard },
  drain: { repeat: 'safe', ...standard },
  run_script: { repeat: 'safe', ...standard, optional: true },
  compile_package: { repeat: 'safe', ...standard },
  compile_package_with_signed_url: { repeat: 'safe', ...standard },
  update_settings: { repeat: 'safe', ...standard, optional: true },
  upload_blob: { repeat: 'safe', tryMs: 45_000, tries: 4 },
  mount_disk: { repeat: 'safe', ...standard },
  unmount_disk: { repeat: 'safe', ...standard },
  add_persistent_disk: { repeat: 'safe', ...standard, optional: true },
  remove_persistent_disk: { repeat: 'safe', ...standard, optional: true },
  fetch_logs: { repeat: 'safe', ...standard },
  migrate_disk: { repeat: 'once', ...standard },
  run_errand: { repeat: 'once', ...standard },
  ssh: { repeat: 'once', ...standard },
  shutdown: { repeat: 'once', ...standard, quiet: true },
  delete_arp_entries: { repeat: 'cheap', ...standard, quiet: true },
} as const satisfies Record<string, MethodRule>;

export type Method = keyof typeof methods;

export function ruleOf(method: Method): MethodRule {
  return methods[method];
}

/** Agents of some versions omit empty parts of vitals, and figures come as text. */
const vitals = z.looseObject({});

const processState = z.looseObject({ name: z.string(), state: z.string() });

export const agentState = z.looseObject({
  /** `running`, `failing`, `starting`, `stopped` or `unknown`. */
  job_state: z.string(),
  configuration_hash: z.string().nullish(),
  networks: z.record(z.string(), z.record(z.string(), z.unknown())).nullish(),
  vitals: vitals.nullish(),
  processes: z.array(processState).nullish(),
});

export const agentInfo = z.looseObject({ api_version: z.number().int() });

/** `blobstore_id` is absent when the package was uploaded to a signed URL. */
export const compiledPackage = z.object({ blobstore_id: z.string().optional(), sha1: z.string().min(1) });
export const compileResult = z.looseObject({ result: compiledPackage.extend({ compile_log_id: z.string().nullish() }) });

export const errandResult = z.object({ stdout: z.string(), stderr: z.string(), exit_code: z.number().int() });
export const fetchedLogs = z.object({ blobstore_id: z.string(), sha1: z.string() });
export const sshResult = z.looseObject({ command: z.string(), status: z.string(), ip: z.string().nullish(), host_public_key: z.string().nullish() });
export const diskList = z.array(z.string());
/** Seconds; negative: pause and ask for the drain's status. */
export const drainResult = z.number().int();

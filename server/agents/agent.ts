import type { z } from 'zod';
import type { agentState, compiledPackage, errandResult, fetchedLogs, sshResult } from './protocol';

/**
 * Agents as the rest of the director sees them. Everything here can be replaced by a fake in a test.
 */

/** The VM that is spoken to. */
export interface AgentTarget {
  /** The agent's id. */
  id: string;
  /** `<group>/<uuid>`, for error messages. */
  name: string;
  /** Cloud id of the VM, for the message of `waitUntilReady`. */
  cid?: string | undefined;
}

/** On whose behalf an agent is spoken to; a TaskContext is one. */
export interface AgentCaller {
  /** Ends every wait. */
  readonly signal: AbortSignal;
  readonly log: { debug(text: string): void };
  /** Rejects when the caller has no right to act any more; asked before every message. */
  fence(): Promise<void>;
  remembered(key: string): unknown;
  /** Stores a value for whoever goes on after this process; `undefined` forgets it. */
  remember(key: string, value: unknown): Promise<void>;
  /** The same without looking at cancellation; its signal aborts only when the right to act is lost. */
  uncancellable(): AgentCaller;
}

/** A caller that is no task, such as a component: nothing is remembered, nothing is logged, `signal` ends everything. */
export function callerWithoutTask(signal: AbortSignal): AgentCaller {
  const caller: AgentCaller = {
    signal,
    log: { debug: () => undefined },
    fence: async () => signal.throwIfAborted(),
    remembered: () => undefined,
    remember: async () => undefined,
    uncancellable: () => caller,
  };
  return caller;
}

export type AgentState = z.infer<typeof agentState>;
export type CompiledPackage = z.infer<typeof compiledPackage>;
export type ErrandResult = z.infer<typeof errandResult>;
export type FetchedLogs = z.infer<typeof fetchedLogs>;
export type SshResult = z.infer<typeof sshResult>;

/** A package source (or a compiled dependency) as `compile_package` names it. */
export interface PackageToCompile {
  blobstoreId: string;
  /** BOSH multi-digest. */
  digest: string;
  name: string;
  /** `<package version>.<build>`; never empty. */
  version: string;
  /** By package name. */
  dependencies: Record<string, { name: string; version: string; sha1: string; blobstore_id: string }>;
}

/** The same with URLs instead of credentials; the director has chosen the id of the compiled blob. */
export interface SignedPackageToCompile {
  package_get_signed_url: string;
  upload_signed_url: string;
  blobstore_headers?: Record<string, string>;
  digest: string;
  name: string;
  version: string;
  deps: Record<string, { name: string; version: string; sha1: string; blobstore_id: string; package_get_signed_url: string; blobstore_headers?: Record<string, string> }>;
}

/** Argument of `update_settings`; `mbus` and `blobstores` only when they change: the agent restarts for them. */
export interface AgentSettings {
  trusted_certs: string;
  disk_associations: { name: string; cid: string }[];
  mbus?: { cert: { ca: string; certificate: string; private_key: string }; urls?: string[] };
  blobstores?: Record<string, unknown>[];
}

/** A version of the DNS records, in the agent's own blobstore or behind a URL that needs no credentials. */
export type DnsRecordsBlob = { version: number; /** BOSH multi-digest. */ digest: string } & ({ blobId: string } | { signedUrl: string; headers?: Record<string, string> });

/** What `add_persistent_disk` tells where a disk is: CPI-specific, passed on as it came. */
export type DiskHint = string | Record<string, unknown>;

/**
 * One agent, spoken to on behalf of one caller. Every method
 * - throws DirectorError 450001 with the agent's own words when the agent refuses or fails,
 * - throws DirectorError 450002 when it does not answer,
 * - rejects with the reason of the caller's signal when that aborts.
 *
 * Long actions (marked L) run in the agent; their agent task id is remembered, so that a repeat of the same call by the
 * task's next owner goes on waiting for the running action instead of starting it again.
 */
export interface Agent {
  /** `timeoutMs` is the whole patience, default 45 s; `absent` as with `syncDns`. */
  ping(options?: { timeoutMs?: number; absent?: 'wait' | 'fail' }): Promise<void>;
  /** API version of the agent; 0 for agents that do not know `info`. */
  info(): Promise<{ api_version: number }>;
  /** `full` adds vitals. `timeoutMs` is the whole patience, default 45 s three times. */
  getState(options?: { full?: boolean; timeoutMs?: number }): Promise<AgentState>;
  /** L. Installs jobs and packages of an apply spec; without a configuration hash the spec is only noted. */
  apply(spec: object): Promise<void>;
  /** L. Downloads what an apply spec needs. */
  prepare(spec: object): Promise<void>;
  start(): Promise<void>;
  /** L. Waits at most 300 s for the processes to stop and then goes on without an error, as BOSH does. */
  stop(): Promise<void>;
  /** L. Ends when the instance is drained, including the pause that legacy agents ask for. A cancel also cancels the drain. */
  drain(kind: 'update' | 'shutdown', spec?: object): Promise<void>;
  /** L. `pre-start`, `post-start`, `post-deploy`, `pre-stop`, `post-stop`; agents that do not know scripts are passed over. */
  runScript(name: string, env?: Record<string, string>): Promise<void>;
  /** L. */
  compilePackage(source: PackageToCompile): Promise<CompiledPackage>;
  /** L. */
  compilePackageWithSignedUrl(source: SignedPackageToCompile): Promise<CompiledPackage>;
  /** L. An agent that gets new credentials restarts; the call ends when it is back. */
  updateSettings(settings: AgentSettings): Promise<void>;
  /** L. False when the agent (or the bus, for its size) cannot take it: store the content in the blobstore instead. */
  uploadBlob(blob: { blobId: string; digest: string; content: Buffer }): Promise<boolean>;
  /**
   * True when the agent has the records of that version or newer. An agent that nobody hears at its subject is waited for like any
   * other unless `absent` is `fail`: then AgentAbsent is thrown at once.
   */
  syncDns(records: DnsRecordsBlob, options?: { absent?: 'wait' | 'fail' }): Promise<boolean>;
  /** Cloud ids of mounted persistent disks. */
  listDisk(): Promise<string[]>;
  mountDisk(cid: string): Promise<void>;
  unmountDisk(cid: string): Promise<void>;
  /** L. Never repeated: an agent that lost it gives an error. */
  migrateDisk(from: string, to: string): Promise<void>;
  addPersistentDisk(cid: string, hint: DiskHint): Promise<void>;
  removePersistentDisk(cid: string): Promise<void>;
  /** L. `types` is `job`, `agent`, `system` or a comma list. */
  fetchLogs(types: string, filters: readonly string[] | null): Promise<FetchedLogs>;
  /** L. Never repeated. A cancel cancels the errand in the agent and then waits for its output. `job` undefined: the group's own. */
  runErrand(job?: string): Promise<ErrandResult>;
  setUpSsh(user: string, publicKey: string): Promise<SshResult>;
  cleanUpSsh(userPattern: string): Promise<SshResult>;
  /** State of a long action: undefined while it runs, then its result. */
  getTask(agentTaskId: string): Promise<{ value: unknown } | undefined>;
  cancelTask(agentTaskId: string): Promise<void>;
  /** Fire and forget. */
  shutdown(): Promise<void>;
  /** Fire and forget. */
  deleteArpEntries(ips: readonly string[]): Promise<void>;
}

/** All agents. */
export interface Agents {
  agentFor(target: AgentTarget, caller: AgentCaller): Agent;
  /**
   * Returns when the agent answers `ping`; for as long as it is absent it is asked again at once, and each try has 1 s.
   * After `deadlineMs`: DirectorError 450002 `Timed out pinging VM '<cid>' with agent '<id>' after <n> seconds`.
   */
  waitUntilReady(target: AgentTarget, deadlineMs: number, caller: AgentCaller): Promise<void>;
}

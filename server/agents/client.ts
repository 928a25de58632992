import { sleep } from '../core/clock';
import { code, DirectorError } from '../core/errors';
import { Inbox } from '../nats/inbox';
import { MessageTooLarge, type Bus } from '../nats/connection';
import type { z } from 'zod';
import type { Agent, Agents, AgentCaller, AgentTarget, DnsRecordsBlob } from './agent';
import { agentInfo, agentState, compileResult, diskList, drainResult, errandResult, fetchedLogs, ruleOf, sshResult, type Method } from './protocol';
import { AgentFailure, isAgentFailure, request, sendOnly, type RequestDeps } from './request';
import { pollOnce, runLong, type LongCall } from './long-call';

export interface AgentClientOptions extends Pick<RequestDeps, 'blobs' | 'onRpc' | 'detours'> {
  bus: Pick<Bus, 'publish' | 'subscribe' | 'onConnect'>;
  /** The uuid of this process. */
  nodeId: string;
}

/** Speaks to all agents over the bus. */
export class AgentClient implements Agents {
  readonly #inbox: Inbox;
  readonly #deps: RequestDeps;

  constructor(options: AgentClientOptions) {
    this.#inbox = new Inbox(options.bus, options.nodeId);
    this.#deps = { bus: options.bus, inbox: this.#inbox, blobs: options.blobs, onRpc: options.onRpc, detours: options.detours };
  }

  start(): void {
    this.#inbox.start();
  }

  stop(): void {
    this.#inbox.stop();
  }

  agentFor(target: AgentTarget, caller: AgentCaller): Agent {
    return createAgent(this.#deps, target, caller);
  }

  async waitUntilReady(target: AgentTarget, deadlineMs: number, caller: AgentCaller): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      const left = deadline - performance.now();
      if (left <= 0) throw notReady(target, deadlineMs);
      try {
        await request(this.#deps, { target, caller, method: 'ping', args: [], patienceMs: Math.min(1_000, left) });
        return;
      } catch (error) {
        if (!mayBecomeReady(error)) throw error;
        if (isAgentFailure(error)) await sleep(Math.min(250, left), caller.signal);
      }
    }
  }
}

function mayBecomeReady(error: unknown): boolean {
  if (isAgentFailure(error)) return error.message.startsWith('restarting agent');
  return error instanceof DirectorError && error.code === code.rpcTimeout;
}

function notReady(target: AgentTarget, deadlineMs: number): DirectorError {
  return new DirectorError(code.rpcTimeout, `Timed out pinging VM '${target.cid ?? target.name}' with agent '${target.id}' after ${deadlineMs / 1_000} seconds`);
}

/** Polling of `stop` ends here, and the director goes on. */
const longestStopMs = 300_000;

function createAgent(deps: RequestDeps, target: AgentTarget, caller: AgentCaller): Agent {
  const ask = <T>(schema: z.ZodType<T>, method: Method, args: readonly unknown[], patienceMs?: number) =>
    askOnce(deps, { target, caller, method, args, patienceMs }, schema);
  const long = (method: Method, args: readonly unknown[], options?: Pick<LongCall, 'onCancel' | 'longestMs'>) => tolerating(method, undefined, () => runLong(deps, { target, caller, method, args, ...options }));
  const longFor = async <T>(schema: z.ZodType<T>, method: Method, args: readonly unknown[], options?: Pick<LongCall, 'onCancel'>) => checked(schema, method, await long(method, args, options));
  const compiled = async (method: Method, args: readonly unknown[]) => {
    const { compile_log_id: logId, ...result } = (await longFor(compileResult, method, args)).result;
    if (logId) await collectCompileLog(deps, caller, logId);
    return result;
  };
  return {
    ping: async (options = {}) => void (await request(deps, { target, caller, method: 'ping', args: [], patienceMs: options.timeoutMs, failWhenAbsent: options.absent === 'fail' })),
    info: () => tolerating('info', { api_version: 0 }, () => ask(agentInfo, 'info', [])),
    getState: (options = {}) => ask(agentState, 'get_state', options.full ? ['full'] : [], options.timeoutMs),
    apply: async (spec) => void (await long('apply', [spec])),
    prepare: async (spec) => void (await long('prepare', [spec])),
    start: async () => void (await long('start', [])),
    stop: () => ignoring('Timed out waiting for service', () => long('stop', [], { longestMs: longestStopMs })),
    drain: async (kind, spec) => {
      let seconds = await longFor(drainResult, 'drain', spec ? [kind, spec] : [kind], { onCancel: 'give up' });
      while (seconds < 0) {
        await sleep(-seconds * 1_000, caller.signal);
        seconds = await longFor(drainResult, 'drain', ['status'], { onCancel: 'give up' });
      }
      if (seconds > 0) await sleep(seconds * 1_000, caller.signal);
    },
    runScript: async (name, env) => void (await long('run_script', [name, env && Object.keys(env).length > 0 ? { env } : {}])),
    compilePackage: ({ blobstoreId, digest, name, version, dependencies }) => compiled('compile_package', [blobstoreId, digest, name, version, dependencies]),
    compilePackageWithSignedUrl: (source) => compiled('compile_package_with_signed_url', [source]),
    updateSettings: async (settings) => void (await long('update_settings', [settings])),
    uploadBlob: ({ blobId, digest, content }) =>
      delivered(() => long('upload_blob', [{ blob_id: blobId, checksum: digest, payload: mimeBase64(content) }])),
    syncDns: async (records, options = {}) => (await request(deps, { target, caller, ...syncDnsRequest(records), failWhenAbsent: options.absent === 'fail' })) === 'synced',
    listDisk: () => longFor(diskList, 'list_disk', []),
    mountDisk: async (cid) => void (await long('mount_disk', [cid])),
    unmountDisk: async (cid) => void (await long('unmount_disk', [cid])),
    migrateDisk: async (from, to) => void (await long('migrate_disk', [from, to])),
    addPersistentDisk: async (cid, hint) => void (await long('add_persistent_disk', [cid, hint])),
    removePersistentDisk: async (cid) => void (await long('remove_persistent_disk', [cid])),
    fetchLogs: (types, filters) => longFor(fetchedLogs, 'fetch_logs', [types, filters]),
    runErrand: (job) => longFor(errandResult, 'run_errand', job === undefined ? [] : [job], { onCancel: 'result' }),
    setUpSsh: (user, publicKey) => longFor(sshResult, 'ssh', ['setup', { user, public_key: publicKey }]),
    cleanUpSsh: (userPattern) => longFor(sshResult, 'ssh', ['cleanup', { user_regex: userPattern }]),
    getTask: async (agentTaskId) => {
      const state = await pollOnce(deps, { target, caller }, agentTaskId);
      if (!state) throw new AgentFailure(`Task with id ${agentTaskId} could not be found by the agent of '${target.name}'`);
      return state.running ? undefined : { value: state.value };
    },
    cancelTask: async (agentTaskId) => void (await request(deps, { target, caller, method: 'cancel_task', args: [agentTaskId] })),
    shutdown: () => sendOnly(deps, { target, caller, method: 'shutdown', args: [] }),
    deleteArpEntries: (ips) => sendOnly(deps, { target, caller, method: 'delete_arp_entries', args: [{ ips }] }),
  };
}

function syncDnsRequest(records: DnsRecordsBlob): { method: Method; args: unknown[] } {
  const { version, digest } = records;
  if ('blobId' in records) return { method: 'sync_dns', args: [records.blobId, digest, version] };
  const headers = records.headers && Object.keys(records.headers).length > 0 ? { blobstore_headers: records.headers } : {};
  return { method: 'sync_dns_with_signed_url', args: [{ signed_url: records.signedUrl, multi_digest: digest, version, ...headers }] };
}

async function askOnce<T>(deps: RequestDeps, input: Parameters<typeof request>[1], schema: z.ZodType<T>): Promise<T> {
  return checked(schema, input.method, await request(deps, input));
}

function checked<T>(schema: z.ZodType<T>, method: Method, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const problem = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'result'}: ${issue.message}`).join('; ');
  throw new AgentFailure(`the agent's answer to ${method} cannot be used: ${problem}`);
}

/** Agents that do not know an optional method are passed over. */
async function tolerating<T>(method: Method, instead: T, work: () => Promise<T>): Promise<T> {
  if (!ruleOf(method).optional) return work();
  return ignoringWith('unknown message', instead, work);
}

async function ignoring(text: string, work: () => Promise<unknown>): Promise<void> {
  await ignoringWith(text, undefined, work);
}

async function ignoringWith<T>(text: string, instead: T, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (isAgentFailure(error) && error.message.includes(text)) return instead;
    throw error;
  }
}

/** False for the refusals after which the content goes through the blobstore. */
/** Base64 in lines of 60 characters, each ended by a line break, as Ruby writes it. */
function mimeBase64(content: Buffer): string {
  return content.toString('base64').replace(/.{1,60}/g, '$&\n');
}

async function delivered(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (error instanceof MessageTooLarge) return false;
    if (isAgentFailure(error) && /unknown message|cannot find the path/i.test(error.message)) return false;
    throw error;
  }
}

/** Agents of old versions leave the output of `packaging` in the blobstore. */
async function collectCompileLog(deps: RequestDeps, caller: AgentCaller, blobId: string): Promise<void> {
  if (!deps.blobs) return;
  const text = await deps.blobs.read(blobId).then((content) => content.toString('utf8'), () => undefined);
  if (text !== undefined) caller.log.debug(text);
  await deps.blobs.delete(blobId).catch(() => undefined);
}

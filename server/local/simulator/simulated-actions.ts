import { randomUUID } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { sha1Hex } from '../../core/digest';
import { buildState } from '../agent/actions/apply';
import { emptySpec, parseApplySpec, withCloudAddresses, type ApplySpec } from '../agent/apply-spec';
import { readArgument } from '../agent/arguments';
import { openBlobstore } from '../agent/blobs/blobstore';
import { storeSigned } from '../agent/blobs/signed-url';
import type { ProcessReport } from '../agent/monit/job-supervisor';
import type { Action, ActionCall, Actions } from '../agent/protocol';
import { effectiveBlobstore, mergeUpdate, updateSettingsSchema, type BootSettings, type UpdateSettings } from '../agent/settings';
import type { Vitals } from '../agent/vitals';
import { packTgz } from '../samples/tarball';

/** What a simulated VM is. */
export interface SimulatedState {
  boot: BootSettings;
  update: UpdateSettings | undefined;
  spec: ApplySpec;
  started: boolean;
  mounted: Set<string>;
  hints: Set<string>;
  dnsVersion: number;
  startedAt: number;
}

export function newState(boot: BootSettings): SimulatedState {
  return { boot, update: undefined, spec: emptySpec, started: true, mounted: new Set(), hints: new Set(), dnsVersion: 0, startedAt: Date.now() };
}

export interface SimulatedDeps {
  state: SimulatedState;
  /** What the jobs are said to be. */
  jobState: () => string;
  /** Reads the VM's settings again: the CPI attaches disks there. */
  reload: () => Promise<BootSettings>;
  /** Connects with the settings in force. */
  reconnect: () => Promise<void>;
}

export const simulatedVitals: Vitals = {
  load: ['0.10', '0.08', '0.02'],
  cpu: { user: '3.8', sys: '1.9', wait: '0.1' },
  mem: { percent: '12', kb: '131072' },
  swap: { percent: '0', kb: '0' },
  uptime: { secs: 1 },
  disk: { system: { percent: '14', inode_percent: '4' }, ephemeral: { percent: '7', inode_percent: '2' } },
};

/** One process per job of the spec, as long as the jobs are started. */
export function simulatedProcesses(state: SimulatedState, jobState: string): ProcessReport[] {
  const secs = Math.floor((Date.now() - state.startedAt) / 1000);
  return (state.spec.job.templates ?? []).map(({ name }) => ({ name, state: jobState, uptime: { secs }, mem: { kb: 10_240, percent: 0.1 }, cpu: { total: 0.1 } }));
}

/** The actions of an agent without a machine: the same answers, nothing behind them but what the director can see. */
export function simulatedActions(deps: SimulatedDeps): Actions {
  const { state } = deps;
  return {
    ...stateActions(deps),
    ...blobActions(deps),
    ...diskActions(deps),
    run_script: later(2, () => ({})),
    drain: { ...later(1, () => 0), cancellable: true },
    run_errand: { ...later(0, () => ({ stdout: 'simulated\n', stderr: '', exit_code: 0 })), cancellable: true },
    upload_blob: later(1, (call) => readArgument(call, 0, z.object({ blob_id: z.string() })).blob_id),
    sync_dns: atOnce(3, (call) => syncDns(state, readArgument(call, 2, z.number()))),
    sync_dns_with_signed_url: atOnce(1, (call) => syncDns(state, readArgument(call, 0, z.object({ version: z.number() })).version)),
    delete_arp_entries: atOnce(1, () => ({})),
    shutdown: atOnce(0, () => ''),
    ssh: atOnce(0, () => {
      throw new Error('A simulated VM has no SSH server');
    }),
  };
}

function stateActions(deps: SimulatedDeps): Actions {
  const { state } = deps;
  const report = {
    specs: { current: () => state.spec },
    settings: { boot: () => state.boot },
    jobs: { jobState: deps.jobState, processes: () => simulatedProcesses(state, deps.jobState()) },
  };
  return {
    ping: atOnce(0, () => 'pong'),
    info: atOnce(0, () => ({ api_version: 1 })),
    get_state: atOnce(0, (call) => buildState(report, call.args[0] === 'full' ? simulatedVitals : undefined)),
    prepare: later(1, (call) => {
      parseApplySpec(call.args[0]);
      return 'prepared';
    }),
    apply: later(1, (call) => {
      state.spec = withCloudAddresses(parseApplySpec(call.args[0]), state.boot.networks);
      return 'applied';
    }),
    start: atOnce(0, () => {
      state.started = true;
      state.startedAt = Date.now();
      return 'started';
    }),
    stop: later(0, () => {
      state.started = false;
      return 'stopped';
    }),
    update_settings: later(1, async (call) => {
      const before = JSON.stringify(state.update?.mbus ?? null);
      state.update = mergeUpdate(state.update, readArgument(call, 0, updateSettingsSchema));
      if (JSON.stringify(state.update.mbus ?? null) !== before) await deps.reconnect();
      return 'ok';
    }),
  };
}

function blobActions({ state }: SimulatedDeps): Actions {
  const ca = () => z.object({ tls: z.object({ cert: z.object({ ca: z.string() }) }) }).safeParse(effectiveBlobstore(state.boot, state.update).options).data?.tls.cert.ca ?? '';
  const headers = z.record(z.string(), z.string()).nullish();
  const store = (content: string) => withArchive(content, async (path, digest) => {
    const id = randomUUID();
    await openBlobstore(effectiveBlobstore(state.boot, state.update)).upload(id, path);
    return { blobstore_id: id, sha1: digest };
  });
  const storeByUrl = (url: string, given: z.infer<typeof headers>, content: string) =>
    withArchive(content, async (path) => ({ sha1: await storeSigned({ url, headers: given ?? undefined, ca: ca() }, path) }));
  return {
    compile_package: later(5, async (call) => ({ result: await store(`package ${readArgument(call, 2, z.string())} ${readArgument(call, 3, z.string())}`) })),
    compile_package_with_signed_url: later(1, async (call) => {
      const request = readArgument(call, 0, z.object({ upload_signed_url: z.string(), name: z.string(), version: z.string(), blobstore_headers: headers }));
      return { result: await storeByUrl(request.upload_signed_url, request.blobstore_headers, `package ${request.name} ${request.version}`) };
    }),
    fetch_logs: later(2, () => store(`logs of ${state.boot.agent_id}`)),
    fetch_logs_with_signed_url: later(1, (call) => {
      const request = readArgument(call, 0, z.object({ signed_url: z.string(), blobstore_headers: headers }));
      return storeByUrl(request.signed_url, request.blobstore_headers, `logs of ${state.boot.agent_id}`);
    }),
  };
}

function diskActions({ state, reload }: SimulatedDeps): Actions {
  const cid = (call: ActionCall) => readArgument(call, 0, z.string());
  const known = async () => new Set([...Object.keys((await reload()).disks.persistent), ...state.hints]);
  return {
    list_disk: { ...later(0, async () => [...(await known())].filter((each) => state.mounted.has(each))), asyncFromProtocol: 3 },
    add_persistent_disk: later(2, (call) => {
      state.hints.add(cid(call));
      return {};
    }),
    remove_persistent_disk: later(1, (call) => {
      state.hints.delete(cid(call));
      return {};
    }),
    mount_disk: later(1, async (call) => {
      if (!(await known()).has(cid(call))) throw new Error(`Persistent disk with volume id '${cid(call)}' could not be found`);
      state.mounted.add(cid(call));
      return {};
    }),
    unmount_disk: later(1, (call) => {
      const was = state.mounted.delete(cid(call));
      return { message: was ? `Unmounted partition of disk '${cid(call)}'` : `Partition of disk '${cid(call)}' is not mounted` };
    }),
    migrate_disk: later(0, (call) => {
      state.mounted.delete(readArgument(call, 0, z.string().default('')));
      return {};
    }),
    add_dynamic_disk: later(2, () => ({})),
    remove_dynamic_disk: atOnce(1, () => ({})),
  };
}

function atOnce(required: number, run: (call: ActionCall) => unknown): Action {
  return { mode: 'sync', required, run: async (call) => run(call) };
}

function later(required: number, run: (call: ActionCall) => unknown): Action {
  return { mode: 'async', required, run: async (call) => run(call) };
}

function syncDns(state: SimulatedState, version: number): 'synced' {
  state.dnsVersion = Math.max(state.dnsVersion, version);
  return 'synced';
}

/** Makes a small archive, the same bytes for the same content, for as long as `use` runs. */
async function withArchive<T>(content: string, use: (path: string, sha1: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), 'directorate-simulated-'));
  try {
    const archive = await packTgz([{ name: 'simulated', content }]);
    const path = join(folder, 'archive.tgz');
    await writeFile(path, archive);
    return await use(path, sha1Hex(archive));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

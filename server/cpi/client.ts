import { createHash } from 'node:crypto';
import { stat } from 'node:fs/promises';
import type { z } from 'zod';
import { code, DirectorError } from '../core/errors';
import type { Cpi, CpiCaller, CpiInfo, Cpis, CreateVm } from './cpi';
import { findCpi, type ConfiguredCpi } from './configured';
import { CpiError, isCpiError } from './errors';
import { runCpi, type CpiProcess } from './process';
import { buildRequest, cid, cloudPropertiesResult, createNetworkResult, createVmResult, diskCids, diskHint, errorOf, infoResult, newRequestId, parseResponse, redactRequest, type RequestInput } from './protocol';

export interface CpisOptions {
  /** Executable of the director's own CPI. */
  path: string;
  /** 2 or 3. */
  preferredApiVersion: number;
  directorUuid: string;
  environment: CpiProcess['environment'];
  /** What the CPI configs say now; undefined when there are none. Asked before every call of a named CPI. */
  configured: () => Promise<readonly ConfiguredCpi[] | undefined>;
  /** Puts the values of variables into what a CPI is given; they are seen by nothing but the CPI's process. */
  interpolate: (document: CpiCommand, caller: CpiCaller) => Promise<CpiCommand>;
  /** Told of every finished call, for metrics. */
  onCall?: ((call: { method: string; ms: number; outcome: 'ok' | 'error' }) => void) | undefined;
}

/**
 * How long the answer to `info` holds, ms. The Ruby director runs `info` before every call, which doubles the number of processes;
 * an executable that was replaced (another modification time) is asked anew at once.
 */
const infoHoldsMs = 60_000;

/** How a CPI is run. */
export interface CpiCommand {
  path: string;
  /** Of the CPI config: part of the `context` of every call. */
  properties: Record<string, unknown>;
}

interface Known {
  modified: number;
  until: number;
  info: CpiInfo;
}

/** What is known of CPIs, by executable and properties: the same program may speak for several clouds. */
type KnownCpis = Map<string, Known>;

/** More than anybody has CPIs: what is known of former ones is dropped. */
const maxKnown = 200;

/** Makes the CPIs of this director: its own one, of which the name is empty, and those of the CPI configs. */
export function createCpis(options: CpisOptions): Cpis {
  const known: KnownCpis = new Map();
  return { cpiFor: (name, caller) => createCpi({ options, name, caller, known }) };
}

interface Session {
  options: CpisOptions;
  name: string;
  caller: CpiCaller;
  known: KnownCpis;
}

/**
 * The command behind a name, which may be one that the CPI had before. The director's own CPI keeps its VMs when there are CPI configs.
 * Rule and texts: cloudfoundry/bosh src/bosh-director/lib/bosh/director/cloud_factory.rb.
 */
async function commandOf({ options, name, caller }: Session): Promise<CpiCommand> {
  if (name === '') return { path: options.path, properties: {} };
  const cpis = await options.configured();
  const found = cpis && findCpi(cpis, name);
  if (!found) throw new DirectorError(code.generic, `CPI '${name}' not found in cpi-config${cpis ? '' : ' (because cpi-config is not set)'}`);
  return options.interpolate({ path: found.execPath, properties: found.properties }, caller);
}

function createCpi(session: Session): Cpi {
  const call = async (method: string, args: readonly unknown[], stemcellApiVersion?: number | null) => {
    const command = await commandOf(session);
    const { apiVersion } = await negotiate(session, command);
    return callOnce(session, command, { method, args, stemcellApiVersion, apiVersion });
  };
  const callFor = async <T>(schema: z.ZodType<T>, method: string, args: readonly unknown[], stemcellApiVersion?: number | null) =>
    checked(schema, method, await call(method, args, stemcellApiVersion));
  return {
    info: async () => negotiate(session, await commandOf(session)),
    createStemcell: async (imagePath, cloudProperties, tags) => {
      const { apiVersion } = await negotiate(session, await commandOf(session));
      return callFor(cid, 'create_stemcell', apiVersion >= 3 ? [imagePath, cloudProperties, { tags }] : [imagePath, cloudProperties]);
    },
    deleteStemcell: async (stemcell) => void (await call('delete_stemcell', [stemcell])),
    createVm: (vm) =>
      callFor(createVmResult, 'create_vm', [vm.agentId, vm.stemcellCid, vm.cloudProperties, vm.networks, vm.diskCids, vm.env], vm.stemcellApiVersion),
    deleteVm: async (vm, stemcellApiVersion) => void (await call('delete_vm', [vm], stemcellApiVersion)),
    hasVm: async (vm) => Boolean(await call('has_vm', [vm])),
    rebootVm: async (vm) => void (await call('reboot_vm', [vm])),
    setVmMetadata: async (vm, metadata) => void (await call('set_vm_metadata', [vm, metadata])),
    calculateVmCloudProperties: (resources) => callFor(cloudPropertiesResult, 'calculate_vm_cloud_properties', [resources]),
    createDisk: (size, cloudProperties, vm) => callFor(cid, 'create_disk', [size, cloudProperties, vm]),
    deleteDisk: async (disk) => void (await call('delete_disk', [disk])),
    hasDisk: async (disk) => Boolean(await call('has_disk', [disk])),
    attachDisk: (vm, disk, stemcellApiVersion) => callFor(diskHint, 'attach_disk', [vm, disk], stemcellApiVersion),
    detachDisk: async (vm, disk, stemcellApiVersion) => void (await call('detach_disk', [vm, disk], stemcellApiVersion)),
    setDiskMetadata: async (disk, metadata) => void (await call('set_disk_metadata', [disk, metadata])),
    snapshotDisk: (disk, metadata) => callFor(cid, 'snapshot_disk', [disk, metadata]),
    deleteSnapshot: async (snapshot) => void (await call('delete_snapshot', [snapshot])),
    resizeDisk: async (disk, newSize) => void (await call('resize_disk', [disk, newSize])),
    updateDisk: async (disk, newSize, cloudProperties) => (await callFor(cid.nullable(), 'update_disk', [disk, newSize, cloudProperties])) ?? undefined,
    getDisks: (vm) => callFor(diskCids, 'get_disks', [vm]),
    createNetwork: (definition) => callFor(createNetworkResult, 'create_network', [definition]),
    deleteNetwork: async (network) => void (await call('delete_network', [network])),
  };
}

const lowestApiVersion = 2;

/** Asks the CPI for its version, or takes the answer of a moment ago. */
async function negotiate(session: Session, command: CpiCommand): Promise<CpiInfo> {
  const { preferredApiVersion } = session.options;
  const modified = await stat(command.path).then((found) => found.mtimeMs, () => 0);
  const key = createHash('sha256').update(JSON.stringify([command.path, command.properties])).digest('hex');
  const last = session.known.get(key);
  if (last && last.modified === modified && performance.now() < last.until) return last.info;
  let answer: z.infer<typeof infoResult>;
  try {
    answer = checked(infoResult, 'info', await callOnce(session, command, { method: 'info', args: [] }));
  } catch (error) {
    if (isCpiError(error, 'NotImplemented')) throw new CpiError('NotSupported', 'CPI must report api_version via info', { cause: error });
    throw error;
  }
  if (answer.api_version === undefined) throw new CpiError('NotSupported', 'CPI must report api_version via info');
  const apiVersion = Math.min(answer.api_version, preferredApiVersion);
  if (apiVersion < lowestApiVersion) {
    throw new CpiError('NotSupported', `CPI API version ${apiVersion} is not supported. Minimum required version is ${lowestApiVersion}.`);
  }
  session.caller.log.debug(`Using cpi_version ${apiVersion} for CPI ${session.name}`);
  const info = { apiVersion, stemcellFormats: answer.stemcell_formats ?? [] };
  if (session.known.size >= maxKnown) session.known.clear();
  session.known.set(key, { modified, until: performance.now() + infoHoldsMs, info });
  return info;
}

/** One CPI process, from the fence to the result. */
async function callOnce(session: Session, command: CpiCommand, input: Omit<RequestInput, 'directorUuid' | 'requestId' | 'properties'>): Promise<unknown> {
  const { options, caller } = session;
  const requestId = newRequestId();
  const request = buildRequest({ ...input, requestId, directorUuid: options.directorUuid, properties: command.properties });
  const started = performance.now();
  const report = (outcome: 'ok' | 'error') => options.onCall?.({ method: input.method, ms: performance.now() - started, outcome });
  const note = (text: string) => caller.log.debug(`[external-cpi] [${requestId}] ${text}`);
  await caller.fence();
  note(`request: ${JSON.stringify(redactRequest(request, Object.keys(command.properties)))} with command: ${command.path}`);
  try {
    const output = await runCpi({
      path: command.path,
      stdin: JSON.stringify(request),
      environment: options.environment,
      kill: caller.uncancellable().signal,
      onErrorLine: (line) => caller.cpiOutput(line),
    });
    note(`response: ${output.stdout}, err: ${output.stderr}, exit_status: ${output.exitStatus}`);
    const response = parseResponse(output.stdout);
    if (response.log) caller.cpiOutput(response.log.endsWith('\n') ? response.log : `${response.log}\n`);
    if (response.error) throw errorOf(response.error, input.method, requestId);
    report('ok');
    return response.result;
  } catch (error) {
    report('error');
    throw error;
  }
}

function checked<T>(schema: z.ZodType<T>, method: string, result: unknown): T {
  const parsed = schema.safeParse(result);
  if (parsed.success) return parsed.data;
  if (method === 'attach_disk') throw new CpiError('Unusable', 'No disk_hint');
  throw new CpiError('Unusable', `Invalid CPI response - the result of '${method}' cannot be used: ${parsed.error.issues.map((issue) => issue.message).join('; ')}`);
}

/**
 * Creates a VM, at once again while the CPI says that a repeat may succeed, `maxTries` times in all.
 * The same agent id is used for every try: a failed try leaves no VM behind (that is what `ok_to_retry` means).
 */
export async function createVmWithRetries(cpi: Pick<Cpi, 'createVm'>, vm: CreateVm, options: { maxTries: number; onRetry?: (error: CpiError, nextTry: number) => void }): Promise<string> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await cpi.createVm(vm);
    } catch (error) {
      if (!isCpiError(error, 'VMCreationFailed') || !error.okToRetry || attempt >= options.maxTries) throw error;
      options.onRetry?.(error, attempt + 1);
    }
  }
}

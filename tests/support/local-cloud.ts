import { spawn } from 'node:child_process';
import { mkdtemp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseCpiConfig, type CpiConfig } from '../../server/local/cpi/config';
import { haltVms } from '../../server/local/cpi/power';
import { buildLocalStemcell, type SampleStemcellOptions } from '../../server/local/samples/stemcell';
import { bundleProgram } from './bundle';
import { extract } from 'tar-stream';
import { gunzipSync } from 'node:zlib';
import { buffer } from 'node:stream/consumers';

export interface CpiReply {
  result: unknown;
  error: { type: string; message: string; ok_to_retry: boolean } | null;
  log: string;
}

export interface CpiCall {
  reply: Promise<CpiReply>;
  /** Kills the CPI process as a dying machine would. */
  kill(): void;
}

export interface TestCloud {
  config: CpiConfig;
  configPath: string;
  /** The CPI as a director runs it: the `exec_path` of a CPI config. */
  program: string;
  stateDir: string;
  blobstore: string;
  /** Runs a method in a CPI process of its own, with the environment that a director gives it; rejects when the CPI reports an error. */
  call(method: string, args: unknown[]): Promise<unknown>;
  start(method: string, args: unknown[]): CpiCall;
  /** Writes a marker file into `hooks/`. */
  hook(name: string, content: unknown): Promise<void>;
  /** Resolves when a call has reached a hook. */
  reached(hook: string): Promise<void>;
  /** Stores the image of a sample stemcell and returns its cid. */
  uploadStemcell(options?: SampleStemcellOptions): Promise<string>;
  stop(): Promise<void>;
}

export interface TestCloudOptions {
  natsUrls?: string[];
  namespace?: 'auto' | 'none';
  heartbeatIntervalMs?: number;
  /** Replaces the TypeScript agent, e.g. by `sleep`, where no agent is needed. */
  agentProgram?: string[];
}

/** A local cloud in a temporary directory: real CPI processes, real VMs. */
export async function startLocalCloud(options: TestCloudOptions = {}): Promise<TestCloud> {
  const folder = await mkdtemp(join(tmpdir(), 'directorate-cloud-'));
  const stateDir = join(folder, 'cloud');
  const blobstore = join(folder, 'blobs');
  await mkdir(blobstore);
  const [cpi, agent] = await Promise.all([bundleProgram('server/local/cpi/main.ts'), options.agentProgram ?? bundleProgram('server/local/agent/main.ts').then((path) => ['node', path])]);
  const configPath = join(folder, 'cpi.json');
  const content = {
    state_dir: stateDir,
    nats_urls: options.natsUrls ?? ['nats://127.0.0.1:1'],
    agent: { blobstore: { provider: 'local', options: { blobstore_path: blobstore } }, heartbeat_interval_ms: options.heartbeatIntervalMs ?? 30_000 },
    agent_program: agent,
    namespace: options.namespace ?? 'auto',
  };
  await writeFile(configPath, JSON.stringify(content));
  const config = parseCpiConfig(content, configPath);
  const program = join(folder, 'cpi');
  await writeFile(program, `#!/bin/sh\nexec '${process.execPath}' '${cpi}' '${configPath}'\n`, { mode: 0o755 });
  const start = (method: string, args: unknown[]) => startCall({ cpi, configPath, method, args });
  return {
    config,
    configPath,
    program,
    stateDir,
    blobstore,
    start,
    call: async (method, args) => {
      const { result, error } = await start(method, args).reply;
      if (error) throw new Error(`${error.type}: ${error.message}`);
      return result;
    },
    hook: async (name, value) => {
      await mkdir(join(stateDir, 'hooks'), { recursive: true });
      await writeFile(join(stateDir, 'hooks', name), JSON.stringify(value));
    },
    reached: (hook) => eventually(async () => (await readFile(join(stateDir, 'hooks', 'reached.jsonl'), 'utf8').catch(() => '')).includes(`"hook":"${hook}"`), `a call reaches ${hook}`),
    uploadStemcell: async (stemcellOptions = {}) => {
      const { tarball } = await buildLocalStemcell(stemcellOptions);
      const image = join(folder, `image-${Math.random().toString(36).slice(2)}`);
      await writeFile(image, await readTarEntry(tarball, './image'));
      const { result, error } = await start('create_stemcell', [image, {}]).reply;
      if (error) throw new Error(error.message);
      return String(result);
    },
    stop: async () => {
      await haltVms(config);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

let requests = 0;

function startCall(input: { cpi: string; configPath: string; method: string; args: unknown[] }): CpiCall {
  requests += 1;
  const child = spawn(process.execPath, [input.cpi, input.configPath], {
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', NODE_ENV: 'test' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(JSON.stringify({ method: input.method, arguments: input.args, context: { director_uuid: 'test', request_id: `cpi-${requests}`, vm: { stemcell: { api_version: 3 } } }, api_version: 2 }));
  const reply = buffer(child.stdout).then((output): CpiReply => {
    if (output.length === 0) throw new Error('the CPI ended without an answer');
    return JSON.parse(output.toString());
  });
  reply.catch(() => undefined);
  return { reply, kill: () => child.kill('SIGKILL') };
}

/** Content of one entry of a gzipped tar. */
export async function readTarEntry(tarball: Buffer, name: string): Promise<Buffer> {
  const entries = extract();
  entries.end(gunzipSync(tarball));
  for await (const entry of entries) {
    const content = await buffer(entry);
    if (entry.header.name === name) return content;
  }
  throw new Error(`the archive has no ${name}`);
}

/** Waits for a condition, at most `timeoutMs`. */
export async function eventually(condition: () => boolean | Promise<boolean>, what: string, timeoutMs = 10_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms in vain: ${what}`);
    await new Promise((resolve) => {
      setTimeout(resolve, 25);
    });
  }
}

import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Pool } from 'pg';
import { stringify } from 'yaml';
import { expect } from 'vitest';
import { sleep } from '../../server/core/clock';
import { startEmbedded, type Embedded } from '../../server/local/embedded';
import type { EmbeddedOptions } from '../../server/local/embedded-programs';
import { helloManifest, sampleCloudConfig, type HelloManifestOptions } from '../../server/local/samples/manifests';
import { buildHelloRelease } from '../../server/local/samples/release';
import { buildLocalStemcell } from '../../server/local/samples/stemcell';
import { CliClient, type FollowedTask } from './cli-client';

/** A whole installation on real processes, with a client that behaves like the CLI and eyes on cloud and records. */
export interface HaSystem {
  embedded: Embedded;
  /** Through the front door. */
  cli: CliClient;
  db: Pool;
  /** State of the local cloud. */
  cloud: string;
  /** Second byte of the VMs' addresses. */
  net: number;
  stop(): Promise<void>;
}

/** Below the ephemeral ports, which any connection on the machine may hold. */
let nextPort = 20_000 + (process.pid % 60) * 100;

export async function startHaSystem(options: Partial<EmbeddedOptions> = {}): Promise<HaSystem> {
  const dataDir = await mkdtemp(join(tmpdir(), 'directorate-ha-'));
  const port = nextPort;
  nextPort += 100;
  const embedded = await startEmbedded({ root: resolve(__dirname, '../..'), dataDir, port, fsync: false, nodeEnv: () => ({ DIRECTORATE_CONSOLE: 'off' }), ...options });
  const { ca, client, clientSecret } = embedded.installation;
  const cli = new CliClient({ url: embedded.url, ca, client, secret: clientSecret });
  const db = new Pool({ connectionString: embedded.databaseUrl, max: 4 });
  db.on('error', () => undefined);
  const system: HaSystem = {
    embedded, cli, db, cloud: embedded.layout.cloud, net: 20 + (process.pid % 200),
    stop: async () => {
      await db.end();
      await embedded.stopAll();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  await upload(system, '/stemcells', (await buildLocalStemcell()).tarball);
  await upload(system, '/releases', (await buildHelloRelease()).tarball);
  await cli.json('POST', '/configs', { contentType: 'application/json', body: JSON.stringify({ name: 'default', type: 'cloud', content: stringify(sampleCloudConfig({ net: system.net })) }) });
  return system;
}

export async function upload(system: HaSystem, path: string, tarball: Buffer): Promise<void> {
  const task = await system.cli.follow(await system.cli.start('POST', path, { contentType: 'application/x-compressed', body: tarball }));
  if (task.state !== 'done') throw new Error(`${path}: ${task.events}`);
}

/** Port of the sample's server; each deployment of a test run gets its own. */
let nextAppPort = 18_080;

export function hello(name: string, options: Partial<HelloManifestOptions> = {}): string {
  const watch = '300-30000';
  return stringify({ ...helloManifest({ name, node: process.execPath, port: nextAppPort++, ...options }), update: { canaries: 1, max_in_flight: 2, canary_watch_time: watch, update_watch_time: watch } });
}

export function startDeploy(system: HaSystem, manifest: string, query = ''): Promise<number> {
  return system.cli.start('POST', `/deployments${query}`, { contentType: 'text/yaml', body: manifest });
}

/** Deploys and expects success. */
export async function deployed(system: HaSystem, manifest: string, query = ''): Promise<FollowedTask> {
  const task = await system.cli.follow(await startDeploy(system, manifest, query));
  if (task.state !== 'done') throw new Error(`the deploy ended ${task.state}:\n${task.events}\n${(await system.cli.output(task.id, 'debug')).slice(-4_000)}`);
  return task;
}

export async function deleteDeployment(system: HaSystem, name: string): Promise<void> {
  const task = await system.cli.follow(await system.cli.start('DELETE', `/deployments/${name}`));
  if (task.state !== 'done') throw new Error(`the deletion ended ${task.state}:\n${task.events}`);
}

/** Name of the node that runs the task now; waits for one. */
export async function ownerOf(system: HaSystem, taskId: number, withinMs = 10_000): Promise<string> {
  return eventually(async () => {
    const { rows } = await system.db.query<{ name: string }>('SELECT n.name FROM tasks t JOIN director_nodes n ON n.id = t.owner_node WHERE t.id = $1', [taskId]);
    return rows[0]?.name;
  }, withinMs);
}

/** The first defined value of `check`, asked again every 20 ms. */
export async function eventually<T>(check: () => Promise<T | undefined> | T | undefined, withinMs = 20_000): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const value = await Promise.resolve(check()).catch(() => undefined);
    if (value !== undefined) return value;
    if (performance.now() > deadline) throw new Error(`it did not happen within ${withinMs} ms`);
    await sleep(20);
  }
}

/** Holds the next matching CPI call; resolves `reached` when a call is held. */
export function holdCpi(system: HaSystem, hook: string, ms: number): { reached: Promise<true> } {
  const folder = join(system.cloud, 'hooks');
  mkdirSync(folder, { recursive: true });
  rmSync(join(folder, 'reached.jsonl'), { force: true });
  writeFileSync(join(folder, hook), JSON.stringify({ ms, once: true }));
  return { reached: eventually(() => (existsSync(join(folder, 'reached.jsonl')) ? (true as const) : undefined)) };
}

interface CloudVm {
  cid: string;
  agent_id: string;
  ips: string[];
}

export function cloudVms(system: HaSystem): CloudVm[] {
  const folder = join(system.cloud, 'vms');
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((cid) => {
    const file = join(folder, cid, 'vm.json');
    return existsSync(file) ? [JSON.parse(readFileSync(file, 'utf8')) as CloudVm] : [];
  });
}

/** Event lines of a task, parsed; every one must be whole JSON. */
export function eventLines(text: string): Record<string, unknown>[] {
  expect(text === '' || text.endsWith('\n')).toBe(true);
  return text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** What the sample's servers of a deployment answer, by instance. */
export async function appAnswers(system: HaSystem, deployment: string): Promise<{ id: string; greeting: string }[]> {
  const { rows } = await system.db.query<{ ip: string; port: number }>(
    `SELECT split_part(a.address, '/', 1) AS ip, (SELECT (value->>'port')::int FROM jsonb_each(i.spec->'properties') LIMIT 1) AS port
     FROM instances i JOIN deployments d ON d.id = i.deployment_id JOIN ip_addresses a ON a.instance_id = i.id WHERE d.name = $1`, [deployment]);
  // A job whose process runs may not listen yet.
  return Promise.all(rows.map(({ ip, port }) => eventually(async () => (await (await fetch(`http://${ip}:${port}/`)).json()) as { id: string; greeting: string }, 10_000)));
}

/**
 * What must hold after every failure: the task ended `done` under its one id; the client saw one unbroken stream; the cloud has
 * exactly the recorded VMs; no address twice; one attempt at a time, epochs growing; one holder per lease epoch; no effect of a fenced attempt.
 */
export async function expectUnharmed(system: HaSystem, task: FollowedTask, deployment: string, instances: number): Promise<void> {
  const { db } = system;
  expect(task.state, task.events).toBe('done');
  expect(await system.cli.output(task.id, 'event')).toBe(task.events);
  eventLines(task.events);
  await eventually(async () => {
    const { rows } = await db.query<{ cid: string | null }>('SELECT cid FROM vms WHERE instance_id IS NOT NULL OR cid IS NOT NULL UNION ALL SELECT cid FROM orphaned_vms');
    const recorded = rows.map((row) => row.cid ?? 'open').toSorted();
    return JSON.stringify(recorded) === JSON.stringify(cloudVms(system).map((vm) => vm.cid).toSorted()) ? true : undefined;
  }, 30_000).catch(async () => {
    const { rows } = await db.query('SELECT cid, agent_id, state, instance_id FROM vms');
    expect({ cloud: cloudVms(system).map((vm) => vm.cid).toSorted(), records: rows }).toBe('the same VMs in the cloud and in the records');
  });
  const ips = cloudVms(system).flatMap((vm) => vm.ips);
  expect(new Set(ips).size).toBe(ips.length);
  const converged = await db.query('SELECT 1 FROM instances i JOIN deployments d ON d.id = i.deployment_id JOIN vms v ON v.instance_id = i.id AND v.active WHERE d.name = $1 AND i.update_completed AND NOT i.compilation', [deployment]);
  expect(converged.rowCount).toBe(instances);
  expect(await appAnswers(system, deployment)).toHaveLength(instances);
  const attempts = await db.query<{ epoch: number; started_at: Date; ended_at: Date | null }>('SELECT epoch::int, started_at, ended_at FROM task_attempts WHERE task_id = $1 ORDER BY epoch', [task.id]);
  for (const [i, attempt] of attempts.rows.entries()) {
    const next = attempts.rows[i + 1];
    expect(attempt.ended_at).not.toBeNull();
    if (next) expect(next.started_at.getTime()).toBeGreaterThanOrEqual(attempt.ended_at?.getTime() ?? Number.POSITIVE_INFINITY);
  }
  const doubled = await db.query('SELECT name, epoch FROM lease_history GROUP BY name, epoch HAVING count(*) > 1');
  expect(doubled.rows).toEqual([]);
  expect(await strayCpiCalls(system, attempts.rows.at(-1)?.started_at)).toEqual([]);
}

/**
 * CPI calls that began after the last attempt did and that no task's log knows: what a fenced attempt still did. Tasks beside this
 * one (the sweeper's) make calls too, and logs follow calls by a moment, so a call is stray only if it stays unknown.
 */
async function strayCpiCalls(system: HaSystem, since: Date | undefined): Promise<unknown[]> {
  const file = join(system.cloud, 'requests.jsonl');
  if (!existsSync(file) || !since) return [];
  const calls = readFileSync(file, 'utf8').split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as { time: string; method: string; request_id: string | null })
    .filter((call) => new Date(call.time) > since && call.method !== 'info');
  const unknown = async () => {
    const { rows } = await system.db.query<{ id: number }>('SELECT id FROM tasks');
    const logs = (await Promise.all(rows.map((row) => system.cli.output(row.id, 'debug')))).join('\n');
    return calls.filter((call) => !logs.includes(`[${call.request_id ?? ''}]`));
  };
  await eventually(async () => ((await unknown()).length === 0 ? true : undefined), 5_000).catch(() => undefined);
  return unknown();
}

/** No task is left behind. */
export async function expectNothingPending(system: HaSystem): Promise<void> {
  const { rows } = await system.db.query("SELECT id, type, state FROM tasks WHERE state IN ('queued', 'processing', 'cancelling') AND type <> 'sweep_abandoned_vms'");
  expect(rows).toEqual([]);
}

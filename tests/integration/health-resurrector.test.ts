import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../db/client';
import { setIgnored, setResurrectionPaused } from '../../server/instances/store';
import { testStore, type TestStore } from '../support/director-parts';
import { endTask, lockDeployment, monitorSettings, recordInstances, startMonitor, takeLease, type LabInstance, type MonitorNode, type Tenure } from '../support/monitor-scene';

let store: TestStore;
let db: Database;
const started: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  store = await testStore();
  db = store.connections.db;
});
beforeEach(() => db.execute(sql`TRUNCATE incidents, alerts, alert_deliveries, health_counters, locks, tasks, configs, events, vms, instances, deployments, leases, lease_history CASCADE`));
afterEach(async () => {
  for (const one of started.splice(0).toReversed()) await one.stop();
  await setResurrectionPaused(db, false);
});
afterAll(() => store.close());

interface Lab {
  instances: LabInstance[];
  hm: MonitorNode;
  ctx: Tenure;
  /** Lets these die, and the monitor find it. */
  kill: (instances: readonly LabInstance[]) => Promise<void>;
  /** These are heard again. */
  revive: (instances: readonly LabInstance[]) => Promise<void>;
  /** Lets `seconds` pass, then one round. */
  look: (seconds?: number) => Promise<void>;
}

async function lab(groups: Record<string, number>, resurrector: Partial<(typeof monitorSettings)['resurrector']> = {}): Promise<Lab> {
  const instances: LabInstance[] = [];
  for (const [group, count] of Object.entries(groups)) instances.push(...(await recordInstances(db, 'lab', count, group)));
  const hm = await startMonitor(db, { settings: { resurrector: { ...monitorSettings.resurrector, ...resurrector } } });
  const ctx = await takeLease(store);
  started.push(hm, { stop: () => ctx.release() });
  await hm.monitor.tick(ctx);
  const dead = new Set<string>();
  const well = () => instances.map((one) => one.agentId).filter((id) => !dead.has(id));
  const look = async (seconds = 3) => {
    hm.pass(seconds, well());
    await hm.monitor.tick(ctx);
  };
  const kill = async (some: readonly LabInstance[]) => {
    for (const { agentId } of some) dead.add(agentId);
    await look(61);
  };
  const revive = async (some: readonly LabInstance[]) => {
    for (const { agentId } of some) dead.delete(agentId);
    await look(1);
  };
  return { instances, hm, ctx, kill, revive, look };
}

interface Scan extends Record<string, unknown> {
  id: number;
  payload: { deployment: string; jobs: Record<string, string[]>; fixStateful: boolean };
}
const scans = async () => (await db.execute<Scan>(sql`SELECT id, type, lane, state, description, username, deployment, teams, payload FROM tasks WHERE type = 'cck_scan_and_fix' ORDER BY id`)).rows;
const told = async () => (await db.execute<{ title: string; summary: string; severity: number }>(sql`SELECT title, summary, severity FROM alerts WHERE origin = 'resurrector' ORDER BY seq`)).rows;
const counters = async () => Object.fromEntries((await db.execute<{ name: string; value: number }>(sql`SELECT name, value FROM health_counters WHERE name LIKE 'resurrector%'`)).rows.map((row) => [row.name, row.value]));
const config = (content: string) => db.execute(sql`INSERT INTO configs (type, name, content) VALUES ('resurrection', ${`c${content.length}`}, ${content})`);

describe('the resurrector', () => {
  it('has the VM of an incident looked at once', async () => {
    const { instances, kill, look } = await lab({ web: 5, db: 5 });
    const [dead] = instances;
    if (!dead) throw new Error('no instance');
    await kill([dead]);
    await look(120);
    expect(await scans()).toEqual([
      {
        id: expect.any(Number), type: 'cck_scan_and_fix', lane: 'normal', state: 'queued', description: 'scan and fix', username: 'hm', deployment: 'lab', teams: ['ops'],
        payload: { deployment: 'lab', jobs: { web: [dead.uuid] }, fixStateful: true },
      },
    ]);
    expect(await told()).toEqual([{ title: 'Scan unresponsive VMs', severity: 4, summary: `Notifying Director to scan instances: web/${dead.uuid}; deployment: 'lab'; 1 of 10 agents are unhealthy (10.0%)` }]);
    const { rows } = await db.execute(sql`SELECT i.scans, i.scan_task_id = e.task_id AS same, e.username, e.deployment FROM incidents i, events e`);
    expect(rows).toEqual([{ scans: 1, same: true, username: 'hm', deployment: 'lab' }]);
    expect(await counters()).toEqual({ resurrector_scans: 1 });
  });

  it('looks at a second VM when the first scan is over', async () => {
    const { instances, kill, look } = await lab({ web: 20 });
    const [first, second] = instances;
    if (!first || !second) throw new Error('no instances');
    await kill([first]);
    await kill([second]);
    expect(await scans()).toHaveLength(1);
    await endTask(db, (await scans())[0]?.id ?? 0, 'done');
    await look();
    expect((await scans()).map((task) => task.payload.jobs)).toEqual([{ web: [first.uuid] }, { web: [second.uuid] }]);
  });

  it('has it looked at again when the scan failed, or when it was of no use for a minute', async () => {
    const { instances, kill, look } = await lab({ web: 10 }, { auto_fix_stateful_nodes: false });
    await kill(instances.slice(0, 1));
    const end = async (state: 'done' | 'error', agoSeconds: number) => {
      await endTask(db, (await scans()).at(-1)?.id ?? 0, state, agoSeconds);
      await look();
      return (await scans()).length;
    };
    expect(await end('error', 4)).toBe(1);
    expect(await end('error', 6)).toBe(2);
    expect(await end('error', 6)).toBe(2);
    expect(await end('done', 59)).toBe(2);
    expect(await end('done', 61)).toBe(3);
    expect((await scans())[0]?.payload.fixStateful).toBe(false);
  });

  it('waits for the deployment\'s lock', async () => {
    const { instances, hm, ctx, kill, look } = await lab({ web: 10 });
    await setResurrectionPaused(db, true);
    await kill(instances.slice(0, 1));
    const task = await lockDeployment(db, 'lab');
    await setResurrectionPaused(db, false);
    await look();
    expect(await scans()).toEqual([]);
    await endTask(db, task, 'done');
    hm.pass(3);
    await hm.monitor.tick(ctx);
    expect(await scans()).toHaveLength(1);
  });

  it('does nothing but tell of it when too much is down', async () => {
    const { instances, kill, look } = await lab({ web: 20 });
    await kill(instances.slice(0, 5));
    await look();
    await look();
    expect(await scans()).toEqual([]);
    expect(await told()).toEqual([{ title: 'We are in meltdown', severity: 1, summary: expect.stringMatching(/^Skipping resurrection for instances: (web\/[-0-9a-f]{36}, ){4}web\/[-0-9a-f]{36}; deployment: 'lab'; 5 of 20 agents are unhealthy \(25\.0%\)$/) }]);
    await kill(instances.slice(5, 6));
    expect(await told()).toHaveLength(2);
    expect(await counters()).toEqual({ resurrector_meltdowns: 2 });
  });

  it('counts what was down lately, and forgets it in time', async () => {
    const { instances, kill, revive, look } = await lab({ web: 20 });
    await setResurrectionPaused(db, true);
    await kill(instances.slice(0, 4));
    await revive(instances);
    await setResurrectionPaused(db, false);
    await db.execute(sql`UPDATE incidents SET ended_at = now() - interval '599 seconds'`);
    await kill(instances.slice(4, 5));
    expect((await told()).map((alert) => alert.title)).toEqual(['We are in meltdown']);
    await db.execute(sql`UPDATE incidents SET ended_at = now() - interval '602 seconds' WHERE ended_at IS NOT NULL`);
    await look();
    expect(await scans()).toHaveLength(1);
  });

  it('heeds resurrection configs, whatever else they contain', async () => {
    const { instances, kill, look } = await lab({ web: 10, db: 10 });
    await config('rules: [{enabled: false, include: {instance_groups: [db]}}, {enabled: maybe}, nonsense]');
    await config('{');
    const [web, database] = [instances[0], instances[10]];
    if (!web || !database) throw new Error('no instances');
    await kill([web, database]);
    await look();
    await look();
    expect((await scans()).map((task) => task.payload.jobs)).toEqual([{ web: [web.uuid] }]);
    expect(await told()).toEqual([
      expect.objectContaining({ title: 'Scan unresponsive VMs' }),
      { title: 'Resurrection is disabled by resurrection config', severity: 1, summary: `Skipping resurrection for instances: db/${database.uuid}; deployment: 'lab'; 2 of 20 agents are unhealthy (10.0%) because of resurrection config` },
    ]);
    await endTask(db, (await scans())[0]?.id ?? 0, 'done');
    await db.execute(sql`TRUNCATE configs CASCADE`);
    await look();
    expect((await scans()).map((task) => task.payload.jobs)).toEqual([{ web: [web.uuid] }, { db: [database.uuid] }]);
    expect(await counters()).toEqual({ resurrector_scans: 2, resurrector_disabled: 1 });
  });

  it('leaves ignored instances alone until they are not', async () => {
    const { instances, kill, look } = await lab({ web: 10 });
    const [dead] = instances;
    await setIgnored(db, dead?.id ?? 0, true);
    await kill(instances.slice(0, 1));
    expect([await scans(), await told()]).toEqual([[], []]);
    await setIgnored(db, dead?.id ?? 0, false);
    await look();
    expect(await scans()).toHaveLength(1);
  });

  it('does nothing while it is paused, and begins as soon as it is not', async () => {
    const { instances, kill, look } = await lab({ web: 10 });
    await setResurrectionPaused(db, true);
    await kill(instances.slice(0, 1));
    await look();
    expect([await scans(), await told()]).toEqual([[], []]);
    await setResurrectionPaused(db, false);
    await look();
    expect(await scans()).toHaveLength(1);
  });

  it('does nothing when the configuration says so', async () => {
    const { instances, kill } = await lab({ web: 10 }, { enabled: false });
    await kill(instances.slice(0, 1));
    expect([await scans(), await told()]).toEqual([[], []]);
  });
});

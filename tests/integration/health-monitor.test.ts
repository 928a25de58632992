import { createServer, type Server, type Socket } from 'node:net';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../db/client';
import type { Agent } from '../../server/agents/agent';
import { sleep } from '../../server/core/clock';
import { uuidFrom } from '../../server/core/digest';
import { vitalNames } from '../../server/health/fleet-view';
import { createVitals, slotSeconds } from '../../server/health/vitals';
import { createVitalsWriter } from '../../server/health/write-vitals';
import { testStore, type TestStore } from '../support/director-parts';
import { endTask, lockDeployment, monitorSettings, recordInstances, startMonitor, takeLease, type LabInstance, type MonitorNode, type MonitorOptions, type Tenure } from '../support/monitor-scene';

let store: TestStore;
let db: Database;
const started: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  store = await testStore();
  db = store.connections.db;
});
beforeEach(() => db.execute(sql`TRUNCATE incidents, alerts, alert_deliveries, agent_paths, nats_auth_appliers, health_counters, instance_vitals, locks, tasks, vms, orphaned_vms, instances, deployments, leases, lease_history CASCADE`));
afterEach(async () => {
  for (const one of started.splice(0).toReversed()) await one.stop();
});
afterAll(() => store.close());

async function node(options: MonitorOptions = {}): Promise<MonitorNode> {
  const made = await startMonitor(db, options);
  started.push(made);
  return made;
}

async function lease(): Promise<Tenure> {
  const made = await takeLease(store);
  started.push({ stop: () => made.release() });
  return made;
}

interface AlertRow extends Record<string, unknown> {
  id: string;
  title: string;
  category: string | null;
  severity: number;
  summary: string;
  deployment: string | null;
  incident_id: number | null;
  jobs: Record<string, string[]> | null;
}

async function alerts(): Promise<AlertRow[]> {
  return (await db.execute<AlertRow>(sql`SELECT id, title, category, severity, summary, deployment, incident_id, jobs_to_instance_ids AS jobs FROM alerts ORDER BY seq`)).rows;
}
const titles = async () => (await alerts()).map((alert) => alert.title);

async function incidents(): Promise<{ kind: string; subject: string; number: number; end_reason: string | null }[]> {
  return (await db.execute<{ kind: string; subject: string; number: number; end_reason: string | null }>(sql`SELECT kind, subject, number, end_reason FROM incidents ORDER BY id`)).rows;
}
const openSubjects = async () => (await incidents()).filter((one) => one.end_reason === null).map((one) => `${one.kind} ${one.subject}`);

async function counters(): Promise<Record<string, number>> {
  const { rows } = await db.execute<{ name: string; value: number }>(sql`SELECT name, value FROM health_counters`);
  return Object.fromEntries(rows.map((row) => [row.name, row.value]));
}

/** One deployment, a monitor that holds the lease, and time enough for its grace. */
async function scene(count: number, options: MonitorOptions = {}): Promise<{ instances: LabInstance[]; ids: string[]; hm: MonitorNode; ctx: Tenure }> {
  const instances = await recordInstances(db, 'lab', count);
  const ids = instances.map((instance) => instance.agentId);
  const hm = await node(options);
  const ctx = await lease();
  hm.beat(...ids);
  await hm.monitor.tick(ctx);
  return { instances, ids, hm, ctx };
}

describe('a VM that dies', () => {
  it('is one incident with its alerts, until it is heard again, and another one when it dies again', async () => {
    const { instances, ids, hm, ctx } = await scene(3);
    const [dead = '', ...well] = ids;
    hm.pass(60, well);
    await hm.monitor.tick(ctx);
    expect(await alerts()).toEqual([]);
    hm.pass(1, well);
    for (let round = 0; round < 3; round++) await hm.monitor.tick(ctx);
    const stored = await alerts();
    expect(stored.map(({ title }) => title)).toEqual([`${dead} has timed out`, 'lab has instances with timed out agents', 'Scan unresponsive VMs']);
    expect(stored[0]).toMatchObject({ id: uuidFrom(`agent_timeout:${dead}:1`), category: 'vm_health', severity: 2, deployment: 'lab' });
    expect(stored[1]).toMatchObject({ category: 'deployment_health', jobs: { web: [instances[0]?.uuid] } });
    hm.pass(1, ids);
    await hm.monitor.tick(ctx);
    expect(await incidents()).toEqual([{ kind: 'agent_timeout', subject: dead, number: 1, end_reason: 'the agent was heard again' }]);
    hm.pass(61, well);
    await hm.monitor.tick(ctx);
    expect((await incidents()).map((one) => one.number)).toEqual([1, 2]);
    expect((await alerts()).filter((alert) => alert.category === 'vm_health').map((alert) => alert.id)).toEqual([1, 2].map((n) => uuidFrom(`agent_timeout:${dead}:${n}`)));
    expect(await counters()).toMatchObject({ incidents_opened_agent_timeout: 2, alerts_stored: 5, resurrector_scans: 1 });
  });

  it('ends its incident when it is replaced or its deployment deleted', async () => {
    const { instances, ids, hm, ctx } = await scene(2);
    hm.pass(61);
    await hm.monitor.tick(ctx);
    expect(await openSubjects()).toHaveLength(2);
    await db.execute(sql`DELETE FROM vms WHERE agent_id = ${ids[0] ?? ''}::uuid`);
    await db.execute(sql`DELETE FROM vms WHERE agent_id = ${ids[1] ?? ''}::uuid`);
    await db.execute(sql`INSERT INTO vms (instance_id, agent_id, cid, state, active) VALUES (${instances[0]?.id}, gen_random_uuid(), 'vm-new', 'created', true)`);
    await db.execute(sql`DELETE FROM instances WHERE id = ${instances[1]?.id}`);
    await hm.sync();
    await hm.monitor.tick(ctx);
    expect((await incidents()).map((one) => one.end_reason)).toEqual(['the VM is gone', 'the instance is gone']);
  });

  it('is told with all that are down, whenever there are more', async () => {
    const { ids, hm, ctx } = await scene(20);
    hm.pass(30, ids.slice(1));
    hm.pass(31, ids.slice(2));
    await hm.monitor.tick(ctx);
    hm.pass(30, ids.slice(2));
    await hm.monitor.tick(ctx);
    const sums = (await alerts()).filter((alert) => alert.category === 'deployment_health');
    expect(sums.map((alert) => alert.jobs?.web?.length)).toEqual([1, 2]);
    expect(new Set(sums.map((alert) => alert.id)).size).toBe(2);
  });
});

describe('an instance without a VM', () => {
  it('is one incident until the VM appears', async () => {
    const { instances, ids, hm, ctx } = await scene(3);
    await db.execute(sql`DELETE FROM vms WHERE instance_id = ${instances[0]?.id}`);
    await db.execute(sql`UPDATE instances SET state = 'detached' WHERE id = ${instances[1]?.id}`);
    await db.execute(sql`DELETE FROM vms WHERE instance_id = ${instances[1]?.id}`);
    await hm.sync();
    for (let round = 0; round < 3; round++) await hm.monitor.tick(ctx);
    expect(await titles()).toEqual([`${instances[0]?.uuid} has no VM`, 'lab has instances which do not have VMs', 'Scan unresponsive VMs']);
    await db.execute(sql`INSERT INTO vms (instance_id, agent_id, cid, state, active) VALUES (${instances[0]?.id}, ${ids[0] ?? ''}, 'vm-new', 'created', true)`);
    await hm.sync();
    await hm.monitor.tick(ctx);
    expect((await incidents()).map((one) => one.end_reason)).toEqual(['the VM appeared']);
  });

  it('is another incident the next time, though the commit of the end was not heard of', async () => {
    const { instances, ids, hm, ctx } = await scene(2);
    const { id = 0, uuid = '' } = instances[0] ?? {};
    const loseVm = async () => {
      await db.execute(sql`DELETE FROM vms WHERE instance_id = ${id}`);
      await hm.sync();
      await hm.monitor.tick(ctx);
    };
    await loseVm();
    await db.execute(sql`INSERT INTO vms (instance_id, agent_id, cid, state, active) VALUES (${id}, ${ids[0] ?? ''}, 'vm-new', 'created', true)`);
    await db.execute(sql`UPDATE incidents SET ended_at = now(), end_reason = 'the VM appeared'`);
    await hm.sync();
    await hm.monitor.tick(ctx);
    await loseVm();
    expect(await incidents()).toEqual([
      { kind: 'missing_vm', subject: uuid, number: 1, end_reason: 'the VM appeared' },
      { kind: 'missing_vm', subject: uuid, number: 2, end_reason: null },
    ]);
  });
});

describe('an agent that beats but does not answer', () => {
  it('is one incident, scanned like a dead one, until it answers', async () => {
    let answers = false;
    const ping = async (_: unknown, { signal }: { signal: AbortSignal }) => (answers ? undefined : sleep(10_000, signal));
    const agents = { agentFor: (...who: Parameters<typeof ping>) => ({ ping: () => ping(...who) }) as Agent };
    const { ids, hm, ctx } = await scene(1, { agents, settings: { intervals: { ...monitorSettings.intervals, probe_agents: 1 }, probing: { retryMs: 1, patienceMs: 20 } } });
    const rounds = async (over: () => Promise<boolean>) => {
      while (!(await over())) {
        hm.pass(1, ids);
        await hm.monitor.tick(ctx);
        await sleep(50);
      }
    };
    await rounds(async () => (await openSubjects()).length > 0);
    expect(await titles()).toEqual([`${ids[0]} sends heartbeats but does not answer`, 'lab has instances whose agents do not answer', 'Scan unresponsive VMs']);
    answers = true;
    await rounds(async () => (await openSubjects()).length === 0);
    expect(await incidents()).toEqual([{ kind: 'deaf_agent', subject: ids[0], number: 1, end_reason: 'the agent answers again' }]);
  }, 20_000);
});

describe('an agent that answers though it is not heard', () => {
  it('is spared once, and hearing is begun anew; one that is not heard after that, too, is judged', async () => {
    const agents = { agentFor: () => ({ ping: async () => undefined }) as unknown as Agent };
    const { ids, hm, ctx } = await scene(3, { agents });
    const [unheard = '', ...heard] = ids;
    let connects = 0;
    hm.bus.onConnect(() => connects++);
    const silence = async () => {
      hm.pass(58, heard);
      await hm.monitor.tick(ctx);
      await sleep(20);
      hm.pass(3, heard);
      await hm.monitor.tick(ctx);
    };
    await silence();
    expect(await incidents()).toEqual([]);
    expect(connects).toBe(1);
    await silence();
    expect(await openSubjects()).toEqual([`agent_timeout ${unheard}`]);
    expect(connects).toBe(1);
  });

  it('is judged at once when it does not answer', async () => {
    const asked: string[] = [];
    const agents = { agentFor: ({ id }: { id: string }) => ({ ping: async () => { asked.push(id); throw new Error('silence'); } }) as unknown as Agent };
    const { ids, hm, ctx } = await scene(2, { agents });
    hm.pass(58, ids.slice(1));
    await hm.monitor.tick(ctx);
    hm.pass(2.5, ids.slice(1));
    await hm.monitor.tick(ctx);
    expect(asked).toEqual([ids[0]]);
    expect(await openSubjects()).toEqual([`agent_timeout ${ids[0]}`]);
  });
});

describe('an agent that no deployment knows', () => {
  it('is told of once, unless the records know it all the same', async () => {
    const { ids, hm, ctx } = await scene(1);
    const stranger = 'a-stranger';
    await db.execute(sql`INSERT INTO orphaned_vms (cid, agent_id, deployment_name, instance_name) VALUES ('vm-o', 'aaaaaaaa-0000-4000-8000-000000000000', 'lab', 'web/1')`);
    hm.pass(122, [...ids, stranger, 'aaaaaaaa-0000-4000-8000-000000000000']);
    for (let round = 0; round < 3; round++) await hm.monitor.tick(ctx);
    expect(await titles()).toEqual([`${stranger} is not a part of any deployment`]);
    hm.pass(62, ids);
    await hm.monitor.tick(ctx);
    expect(await incidents()).toEqual([{ kind: 'rogue_agent', subject: stranger, number: 1, end_reason: 'the agent fell silent' }]);
    expect(hm.listener.fleet.unmanaged.size).toBe(0);
  });
});

describe('nobody is judged', () => {
  it('while a task works on the deployment', async () => {
    const { hm, ctx } = await scene(1);
    const task = await lockDeployment(db, 'lab');
    hm.pass(61);
    await hm.monitor.tick(ctx);
    expect(await incidents()).toEqual([]);
    await endTask(db, task, 'done');
    await hm.monitor.tick(ctx);
    expect(await openSubjects()).toHaveLength(1);
  });

  it('whose VM was replaced a moment ago', async () => {
    const { instances, ids, hm, ctx } = await scene(1);
    await db.execute(sql`DELETE FROM vms`);
    await db.execute(sql`INSERT INTO vms (instance_id, agent_id, cid, state, active) VALUES (${instances[0]?.id}, gen_random_uuid(), 'vm-new', 'created', true)`);
    expect(hm.listener.fleet.managed.has(ids[0] ?? '')).toBe(true);
    hm.pass(61);
    await hm.monitor.tick(ctx);
    expect(await incidents()).toEqual([]);
  });

  it.each([
    ['this process was paused', async (hm: MonitorNode, ctx: Tenure) => (hm.clock.advance(59_000), ctx)],
    ['the bus was connected anew', async (hm: MonitorNode, ctx: Tenure) => (hm.pass(59), hm.bus.reconnect(), ctx)],
    ['another node held the lease', async (hm: MonitorNode) => (hm.pass(59), lease())],
  ])('for a whole timeout after %s', async (_, interrupt) => {
    const { ids, hm, ctx } = await scene(1);
    const acting = await interrupt(hm, ctx);
    await hm.monitor.tick(acting);
    hm.pass(59);
    await hm.monitor.tick(acting);
    expect(await incidents()).toEqual([]);
    hm.pass(2);
    await hm.monitor.tick(acting);
    expect(await openSubjects()).toEqual([`agent_timeout ${ids[0]}`]);
  });

  it('while this node has no connection to the bus', async () => {
    const { hm, ctx } = await scene(1);
    hm.bus.connected = false;
    hm.pass(120);
    await hm.monitor.tick(ctx);
    expect(await incidents()).toEqual([]);
  });
});

describe('a lost NATS server', () => {
  /** Says what a NATS server says first, until it falls silent without closing anything. */
  async function natsLike(name: string): Promise<{ server: Server; url: string; swallow: boolean }> {
    const fake = { server: createServer(), url: '', swallow: false };
    const sockets = new Set<Socket>();
    fake.server.on('connection', (socket) => {
      sockets.add(socket.on('error', () => undefined));
      if (!fake.swallow) socket.write(`INFO {"server_id":"X","server_name":"${name}"}\r\n`);
    });
    await new Promise<void>((resolve) => fake.server.listen(0, '127.0.0.1', resolve));
    const address = fake.server.address();
    fake.url = `nats://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
    started.push({
      stop: async () => {
        for (const socket of sockets) socket.destroy();
        await new Promise<void>((resolve) => fake.server.close(() => resolve()));
      },
    });
    return fake;
  }

  async function until(check: () => boolean): Promise<void> {
    const deadline = performance.now() + 10_000;
    while (!check()) {
      if (performance.now() > deadline) throw new Error('it did not happen');
      await sleep(10);
    }
  }

  it('keeps its agents from being judged until it is back, and for a whole timeout then', async () => {
    const [one, two] = [await natsLike('nats-1'), await natsLike('nats-2')];
    const { ids, hm, ctx } = await scene(3, { natsUrls: [one.url, two.url] });
    // The third agent's path is not known.
    const [onOne = '', onTwo = ''] = ids;
    hm.bus.server = two.url.replace('nats://', '');
    await db.execute(sql`INSERT INTO agent_paths (agent_id, server_name, since) VALUES (${onOne}, 'nats-1', now() - interval '1 day'), (${onTwo}, 'nats-2', now() - interval '1 day')`);
    await hm.sync();
    const healthy = (name: string) => hm.listener.scene().servers.get(name)?.healthy === true;
    const lost = () => hm.listener.scene().servers.get('nats-1')?.lostAt !== undefined;
    await until(() => healthy('nats-1') && healthy('nats-2'));
    hm.beat(...ids);
    one.swallow = true;
    await until(lost);
    hm.pass(120);
    // A look that was under way when the clock was set on seems to take long.
    await until(() => healthy('nats-2'));
    await hm.monitor.tick(ctx);
    expect(await openSubjects()).toEqual([`agent_timeout ${onTwo}`]);
    one.swallow = false;
    await until(() => healthy('nats-1'));
    hm.pass(59);
    await hm.monitor.tick(ctx);
    expect(await openSubjects()).toHaveLength(1);
    hm.pass(2);
    await until(() => healthy('nats-1') && healthy('nats-2'));
    await hm.monitor.tick(ctx);
    expect((await openSubjects()).toSorted()).toEqual(ids.map((id) => `agent_timeout ${id}`).toSorted());
  }, 20_000);

  it('excuses its agents no longer than they have to find another one', async () => {
    const one = await natsLike('nats-1');
    const { ids, hm, ctx } = await scene(1, { natsUrls: [one.url] });
    await until(() => hm.listener.scene().servers.get('nats-1')?.healthy === true);
    one.swallow = true;
    await until(() => hm.listener.scene().servers.get('nats-1')?.lostAt !== undefined);
    hm.pass(300);
    await hm.monitor.tick(ctx);
    expect(await incidents()).toEqual([]);
    hm.pass(1);
    await hm.monitor.tick(ctx);
    expect(await openSubjects()).toEqual([`agent_timeout ${ids[0]}`]);
  }, 20_000);
});

describe('a change of the holder', () => {
  it('tells nothing twice and forgets nothing', async () => {
    const { ids, hm: first, ctx: before } = await scene(2);
    const second = await node({ clock: first.clock });
    const say = (subject: string, data: unknown) => [first, second].forEach((one) => one.bus.say(subject, data));
    const alert = (id: string) => ({ id, severity: 2, title: `alert ${id}`, created_at: 1_700_000_000 });
    say(`hm.agent.alert.${ids[0]}`, alert('one'));
    say('hm.director.alert', { ...alert('two'), source: 'director', summary: 'two', deployment: 'lab' });
    first.pass(61);
    await first.monitor.tick(before);
    // The holder dies before it stores this one.
    say(`hm.agent.alert.${ids[0]}`, alert('three'));
    const after = await lease();
    await second.monitor.tick(after);
    await first.monitor.tick(before);
    expect((await titles()).filter((title) => title.startsWith('alert'))).toEqual(['alert one', 'alert two', 'alert three']);
    second.pass(61);
    await second.monitor.tick(after);
    expect(await incidents()).toHaveLength(2);
    second.pass(1, ids);
    await second.monitor.tick(after);
    expect((await incidents()).map((one) => one.end_reason)).toEqual(['the agent was heard again', 'the agent was heard again']);
    expect(await titles()).toHaveLength(3 + 2 + 1 + 1);
  });

  it('leaves a holder that has lost the lease without effect', async () => {
    const { hm, ctx } = await scene(1);
    const successor = await lease();
    hm.pass(61);
    await hm.monitor.tick(ctx);
    expect(await incidents()).toEqual([]);
    expect(successor.epoch).toBe(ctx.epoch + 1);
  });

  it('stores one incident when two believe to hold it', async () => {
    const { hm: first, ctx } = await scene(1);
    const second = await node({ clock: first.clock });
    await second.monitor.tick(ctx);
    first.pass(61);
    await Promise.all([first.monitor.tick(ctx), second.monitor.tick(ctx)]);
    await Promise.all([first.monitor.tick(ctx), second.monitor.tick(ctx)]);
    expect(await incidents()).toHaveLength(1);
    expect((await titles()).filter((title) => title.endsWith('has timed out'))).toHaveLength(1);
  });
});

describe('alerts of agents', () => {
  it('are stored with their instance, and one that cannot be stored harms no other', async () => {
    const { instances, ids, hm, ctx } = await scene(1);
    hm.bus.say(`hm.agent.alert.${ids[0]}`, '{');
    hm.bus.say(`hm.agent.alert.${ids[0]}`, { id: 'm', severity: 1, title: 'nul \u0000', created_at: 1_700_000_000 });
    hm.bus.say('hm.agent.alert.stranger', { id: 'm', severity: 1, title: 'unknown', created_at: 1_700_000_000 });
    await hm.monitor.tick(ctx);
    const { rows } = await db.execute(sql`SELECT title, source, instance_id FROM alerts ORDER BY seq`);
    expect(rows).toEqual([
      { title: 'nul ', source: `lab: web(${instances[0]?.uuid}) [id=${ids[0]}, index=0, cid=vm-${instances[0]?.uuid}]`, instance_id: instances[0]?.uuid },
      { title: 'unknown', source: 'agent stranger []', instance_id: null },
    ]);
    expect(hm.listener.invalid).toBe(1);
    expect(hm.listener.alerts.size).toBe(0);
  });
});

describe('vitals', () => {
  it('are kept in a ring of a day per instance, whoever writes', async () => {
    const [instance] = await recordInstances(db, 'lab', 1);
    const ctx = await lease();
    const values = (load: number) => vitalNames.map((_, n) => (n === 0 ? load : Number.NaN));
    const vitals = createVitals({ finishedLimit: 2 });
    const writer = createVitalsWriter(vitals);
    const begin = 1_700_000_100 - (1_700_000_100 % slotSeconds);
    const id = instance?.id ?? 0;
    for (let slot = 0; slot < 300; slot++) {
      const at = (begin + slot * slotSeconds) * 1_000;
      vitals.add(id, values(slot), at);
      vitals.add(id, values(slot + 1), at + 1);
      vitals.add(999_999, values(1), at + 1);
      await writer.write(ctx, at + 200_000);
    }
    // A node that heard less of the last slot does not overwrite it.
    const late = createVitals({ finishedLimit: 2 });
    late.add(id, values(7), (begin + 299 * slotSeconds) * 1_000);
    await createVitalsWriter(late).write(ctx, (begin + 299 * slotSeconds + 10) * 1_000);
    const { rows } = await db.execute<{ at: string; samples: number; values: number[] }>(sql`SELECT extract(epoch FROM at)::int AS at, samples, "values" FROM instance_vitals WHERE instance_id = ${id} ORDER BY at`);
    expect(rows).toHaveLength(288);
    expect(rows[0]?.at).toBe(begin + 12 * slotSeconds);
    expect(rows.at(-1)).toMatchObject({ at: begin + 299 * slotSeconds, samples: 2 });
    expect(rows.at(-1)?.values).toEqual(values(299.5));
  });

  it('come from heartbeats', async () => {
    const { instances, hm, ctx } = await scene(1);
    await hm.monitor.tick(ctx);
    const { rows } = await db.execute(sql`SELECT instance_id, samples, "values"[1] AS load FROM instance_vitals`);
    expect(rows).toEqual([{ instance_id: instances[0]?.id, samples: 1, load: 0.5 }]);
  });
});

import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { moveLease } from '../../server/cluster/leases';
import type { Figure } from './figures';
import { allReady, nowMs, query, until, type NodeRow, type Site } from './site';

interface Lease {
  name: string;
  holder: string;
  epoch: number;
}

interface Sweep {
  id: number;
  node: string;
  epoch: number;
}

/**
 * A task that goes on for the whole measurement: a record of an abandoned VM that never appears, which the cluster's sweep
 * keeps looking for. Returns what ends it.
 */
async function startLongTask(site: Site): Promise<() => Promise<void>> {
  const agentId = randomUUID();
  await query(site, `INSERT INTO vms (agent_id, state, created_at) VALUES ($1, 'deleting', now() + interval '1 day')`, [agentId]);
  return async () => {
    await query(site, 'DELETE FROM vms WHERE agent_id = $1', [agentId]);
    await until('the long task to end', async () => (await findSweep(site)) ? undefined : true);
  };
}

async function findSweep(site: Site): Promise<Sweep | undefined> {
  const [row] = await query<{ id: number; owner_node: string; epoch: number }>(site, `SELECT id, owner_node, epoch FROM tasks WHERE type = 'sweep_abandoned_vms' AND state = 'processing' AND owner_node IS NOT NULL ORDER BY id DESC LIMIT 1`);
  return row && { id: row.id, node: row.owner_node, epoch: row.epoch };
}

async function heldLeases(site: Site): Promise<Lease[]> {
  return query<Lease>(site, 'SELECT name, holder, epoch FROM leases WHERE holder IS NOT NULL AND expires_at > now()');
}

/** kill -9 of a node that holds a lease and runs a task: how long until others have both. */
export async function measureKills(site: Site, rounds: number): Promise<Figure[]> {
  const leases: number[] = [];
  const tasks: number[] = [];
  const endLongTask = await startLongTask(site);
  for (let round = 0; round < rounds; round++) {
    const { victim, sweep, lost } = await chooseVictim(site, round);
    site.say(`kill -9 of node ${victim.name} (${round + 1} of ${rounds})`);
    // Not in step with the beats.
    await wait(Math.random() * 500);
    const killedAt = nowMs();
    site.embedded.kill(victim.name);
    for (const lease of lost) leases.push((await nextTermStart(site, lease)) - killedAt);
    tasks.push((await nextAttemptStart(site, sweep)) - killedAt);
    await allReady(site);
  }
  await endLongTask();
  return [
    { what: 'kill -9 → lease held elsewhere', unit: 'ms', samples: leases, note: `${rounds} kills` },
    { what: 'kill -9 → task claimed elsewhere', unit: 'ms', samples: tasks, note: `${rounds} kills` },
  ];
}

/** The node that runs the long task; a lease is moved to it when it has none. */
async function chooseVictim(site: Site, round: number): Promise<{ victim: NodeRow; sweep: Sweep; lost: Lease[] }> {
  const nodes = await allReady(site);
  const sweep = await until('the long task to run', async () => {
    const found = await findSweep(site);
    return found && nodes.some((node) => node.id === found.node) ? found : undefined;
  });
  const victim = nodes.find((node) => node.id === sweep.node);
  if (!victim) throw new Error('the node that runs the long task is gone');
  const all = await until('every lease to be held', async () => {
    const held = await heldLeases(site);
    return held.length > 0 && held.every((lease) => nodes.some((node) => node.id === lease.holder)) ? held : undefined;
  });
  const wanted = all[round % all.length];
  if (wanted && wanted.holder !== victim.id) {
    await moveLease(site.connections.db, wanted.name, victim.id);
    await until(`${wanted.name} to move`, async () => (await heldLeases(site)).find((lease) => lease.name === wanted.name && lease.holder === victim.id));
  }
  return { victim, sweep, lost: (await heldLeases(site)).filter((lease) => lease.holder === victim.id) };
}

async function nextTermStart(site: Site, lease: Lease): Promise<number> {
  return until(`${lease.name} to be taken over`, async () => {
    const [row] = await query<{ at: number }>(site, 'SELECT extract(epoch FROM acquired_at)::float8 * 1000 AS at FROM lease_history WHERE name = $1 AND epoch > $2 ORDER BY epoch LIMIT 1', [lease.name, lease.epoch]);
    return row?.at;
  });
}

async function nextAttemptStart(site: Site, sweep: Sweep): Promise<number> {
  return until(`task ${sweep.id} to be taken over`, async () => {
    const [row] = await query<{ at: number }>(site, 'SELECT extract(epoch FROM started_at)::float8 * 1000 AS at FROM task_attempts WHERE task_id = $1 AND epoch > $2 ORDER BY epoch LIMIT 1', [sweep.id, sweep.epoch]);
    return row?.at;
  });
}

/** SIGTERM to a node that holds leases: how long the leases had no holder, and how long until others had them. */
export async function measureHandOvers(site: Site, rounds: number): Promise<Figure[]> {
  const gaps: number[] = [];
  const whole: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const nodes = await allReady(site);
    const held = await until('leases to be held', async () => {
      const found = await heldLeases(site);
      return found.length > 0 && found.every((lease) => nodes.some((node) => node.id === lease.holder)) ? found : undefined;
    });
    const victim = nodes.find((node) => node.id === held[round % held.length]?.holder);
    if (!victim) continue;
    site.say(`graceful stop of node ${victim.name} (${round + 1} of ${rounds})`);
    const stoppedAt = nowMs();
    const stopped = site.embedded.stop(victim.name);
    for (const lease of held.filter((one) => one.holder === victim.id)) {
      const startedAt = await nextTermStart(site, lease);
      whole.push(startedAt - stoppedAt);
      const [term] = await query<{ at: number; reason: string }>(site, 'SELECT extract(epoch FROM ended_at)::float8 * 1000 AS at, reason FROM lease_history WHERE name = $1 AND epoch = $2', [lease.name, lease.epoch]);
      if (term?.reason === 'released') gaps.push(startedAt - term.at);
    }
    await stopped;
    await site.embedded.start(victim.name);
  }
  return [
    { what: 'graceful stop: lease given back → held elsewhere', unit: 'ms', samples: gaps, note: `${rounds} stops` },
    { what: 'graceful stop: SIGTERM → lease held elsewhere', unit: 'ms', samples: whole, note: `${rounds} stops` },
  ];
}

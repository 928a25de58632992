import { readFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sleep } from '../../server/core/clock';
import { layoutOf, natsServersOf, postgresPortOf } from '../../server/local/layout';
import { startChaosProxy, type ChaosProxy } from '../support/chaos-proxy';
import { deleteDeployment, eventually, expectNothingPending, expectUnharmed, hello, holdCpi, ownerOf, startDeploy, startHaSystem, type HaSystem } from '../support/ha-system';

/** Each node reaches Postgres and NATS through relays of its own, which the tests cut. */

const nodes = ['A', 'B', 'C'] as const;
let system: HaSystem;
const postgres = new Map<string, ChaosProxy>();
const nats = new Map<string, ChaosProxy[]>();

beforeAll(async () => {
  const port = 29_000 + (process.pid % 30) * 100;
  const layout = layoutOf('/nowhere', port);
  const natsPorts = natsServersOf(layout).map((server) => server.ports.client);
  for (const node of nodes) {
    postgres.set(node, await startChaosProxy({ host: '127.0.0.1', port: postgresPortOf(layout) }));
    nats.set(node, await Promise.all(natsPorts.map((target) => startChaosProxy({ host: '127.0.0.1', port: target }))));
  }
  const dataDir = await mkdtemp(join(tmpdir(), 'directorate-ha-'));
  const pair = (name: string) => ({ certificate: { file: `certs/${name}.crt` }, private_key: { file: `certs/${name}.key` } });
  system = await startHaSystem({
    port,
    dataDir,
    config: {
      database: { url: { env: 'HA_DATABASE_URL' } },
      nats: {
        urls: natsPorts.map((_, i) => ({ env: `HA_NATS_${i}` })),
        agent_urls: natsPorts.map((target) => `nats://127.0.0.1:${target}`),
        ca: { file: 'certs/nats-ca.crt' }, ca_private_key: { file: 'certs/nats-ca.key' }, director: pair('nats-director'), health_monitor: pair('nats-health-monitor'),
      },
    },
    nodeEnv: (node) => ({
      DIRECTORATE_CONSOLE: 'off',
      HA_DATABASE_URL: readFileSync(join(dataDir, 'secrets', 'database-url'), 'utf8').trim().replace(/:\d+\//, `:${postgres.get(node)?.port ?? 0}/`),
      ...Object.fromEntries((nats.get(node) ?? []).map((proxy, i) => [`HA_NATS_${i}`, `nats://127.0.0.1:${proxy.port}`])),
    }),
  });
});
afterAll(async () => {
  await expectNothingPending(system);
  await system.stop();
  await Promise.all([...postgres.values(), ...[...nats.values()].flat()].map((proxy) => proxy.close()));
});

async function takeovers(taskId: number): Promise<number> {
  const { rows } = await system.db.query<{ n: number }>("SELECT count(*)::int AS n FROM task_attempts WHERE task_id = $1 AND outcome IN ('lost', 'handed over')", [taskId]);
  return rows[0]?.n ?? 0;
}

describe('the node that runs a deploy', () => {
  it.each(['cut', 'blackhole'] as const)('loses Postgres (%s): another goes on, and the first is silent until it is back', async (how) => {
    const held = holdCpi(system, 'create_vm.after.delay_ms', 1_500);
    const name = `pg-${how}`;
    const id = await startDeploy(system, hello(name));
    await held.reached;
    const owner = await ownerOf(system, id);
    postgres.get(owner)?.[how]();
    await eventually(async () => ((await takeovers(id)) > 0 ? true : undefined), 15_000);
    expect(await ownerOf(system, id)).not.toBe(owner);
    const task = await system.cli.follow(id);
    postgres.get(owner)?.heal();
    await sleep(3_000);
    await expectUnharmed(system, task, name, 3);
    await eventually(async () => {
      const { rows } = await system.db.query("SELECT 1 FROM director_nodes WHERE name = $1 AND state = 'ready' AND heartbeat_at > now() - interval '1 second'", [owner]);
      return rows.length > 0 ? true : undefined;
    });
    await deleteDeployment(system, name);
  });

  it('loses NATS for a while: the deploy waits for it', async () => {
    const id = await startDeploy(system, hello('nats-cut'));
    await eventually(async () => ((await system.cli.output(id, 'event')).includes('Creating missing vms') ? true : undefined));
    const owner = await ownerOf(system, id);
    for (const proxy of nats.get(owner) ?? []) proxy.cut();
    await sleep(5_000);
    for (const proxy of nats.get(owner) ?? []) proxy.heal();
    const task = await system.cli.follow(id, { withinMs: 180_000 });
    await expectUnharmed(system, task, 'nats-cut', 3);
    await deleteDeployment(system, 'nats-cut');
  });
});

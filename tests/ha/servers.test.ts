import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sleep } from '../../server/core/clock';
import { deleteDeployment, eventLines, eventually, expectNothingPending, expectUnharmed, hello, holdCpi, ownerOf, startDeploy, startHaSystem, type HaSystem } from '../support/ha-system';

/** What the nodes stand on fails, or a node leaves in good order: deploys go on. */

let system: HaSystem;

beforeAll(async () => {
  system = await startHaSystem();
});
afterAll(async () => {
  await expectNothingPending(system);
  await system.stop();
});

describe('NATS', () => {
  it('loses one server, then another, during a deploy', async () => {
    const id = await startDeploy(system, hello('nats-loss', { instances: 4 }));
    await eventually(async () => ((await system.cli.output(id, 'event')).includes('Creating missing vms') ? true : undefined));
    system.embedded.kill('nats-1');
    await sleep(1_500);
    system.embedded.kill('nats-2');
    const task = await system.cli.follow(id, { withinMs: 180_000 });
    await expectUnharmed(system, task, 'nats-loss', 4);
    expect(eventLines(task.events).some((line) => line.state === 'failed')).toBe(false);
    await deleteDeployment(system, 'nats-loss');
  });
});

describe('Postgres', () => {
  it('restarts in the middle of a deploy', async () => {
    const held = holdCpi(system, 'create_vm.after.delay_ms', 1_000);
    const id = await startDeploy(system, hello('pg-restart'));
    await held.reached;
    await system.embedded.restart('postgres');
    const task = await system.cli.follow(id);
    await expectUnharmed(system, task, 'pg-restart', 3);
    await deleteDeployment(system, 'pg-restart');
  });

  it('is away for longer than any lease: the deploy waits and goes on', async () => {
    const held = holdCpi(system, 'create_vm.after.delay_ms', 1_000);
    const id = await startDeploy(system, hello('pg-away'));
    await held.reached;
    await system.embedded.stop('postgres');
    await sleep(6_000);
    await system.embedded.start('postgres');
    await eventually(async () => ((await system.cli.call('GET', `/tasks/${id}`)).status === 200 ? true : undefined));
    const task = await system.cli.follow(id);
    await expectUnharmed(system, task, 'pg-away', 3);
    await deleteDeployment(system, 'pg-away');
  });
});

describe('a node that stops gracefully', () => {
  it('hands its deploys and leases over while others are under way', async () => {
    const ids = await Promise.all(['left-1', 'left-2', 'left-3'].map((name) => startDeploy(system, hello(name))));
    const owner = await ownerOf(system, ids[0] ?? 0);
    await sleep(400);
    const stopping = system.embedded.stop(owner);
    const tasks = await Promise.all(ids.map((id) => system.cli.follow(id)));
    await stopping;
    await system.embedded.start(owner);
    for (const [i, task] of tasks.entries()) {
      await expectUnharmed(system, task, `left-${i + 1}`, 3);
      expect(eventLines(task.events).some((line) => String(line.message).includes('was lost'))).toBe(false);
    }
    for (const name of ['left-1', 'left-2', 'left-3']) await deleteDeployment(system, name);
  });
});

describe('a POST whose answer was lost', () => {
  it('reaches exactly one end, while node after node is killed', async () => {
    const names = Array.from({ length: 8 }, (_, i) => `dry-${i}`);
    const posts = names.map(async (name, i) => {
      await sleep(i * 150);
      return startDeploy(system, hello(name), '?dry_run=true');
    });
    for (const node of ['A', 'B', 'C']) {
      system.embedded.kill(node);
      await sleep(400);
    }
    const ids = await Promise.all(posts);
    expect(new Set(ids).size).toBe(names.length);
    const tasks = await Promise.all(ids.map((id) => system.cli.follow(id)));
    expect(tasks.map((task) => task.state)).toEqual(names.map(() => 'done'));
    const { rows } = await system.db.query<{ deployment: string; n: number }>("SELECT deployment, count(*)::int AS n FROM tasks WHERE deployment LIKE 'dry-%' GROUP BY deployment ORDER BY deployment");
    expect(rows).toEqual(names.map((deployment) => ({ deployment, n: 1 })));
    for (const name of names) await deleteDeployment(system, name);
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sleep } from '../../server/core/clock';
import { buildHelloRelease } from '../../server/local/samples/release';
import { deleteDeployment, deployed, eventLines, eventually, expectNothingPending, expectUnharmed, hello, holdCpi, ownerOf, startDeploy, startHaSystem, upload, type HaSystem } from '../support/ha-system';
import { slowRelease, slowManifest } from '../support/slow-release';

/** A deploy goes on under its id when the node that runs it dies, whatever it was doing. */

let system: HaSystem;

beforeAll(async () => {
  system = await startHaSystem();
});
afterAll(async () => {
  await expectNothingPending(system);
  await system.stop();
});

function takeovers(events: string): number {
  return eventLines(events).filter((line) => line.type === 'warning' && String(line.message).includes('goes on with the task')).length;
}

async function killOwner(taskId: number): Promise<string> {
  const owner = await ownerOf(system, taskId);
  expect(system.embedded.kill(owner)).toBe(true);
  return owner;
}

describe('the node that runs a deploy is killed', () => {
  it('while it compiles: the running compilation is waited for, not begun again', async () => {
    await upload(system, '/releases', await slowRelease());
    const id = await startDeploy(system, slowManifest('compiling'));
    // Asked after once: from then on the compilation is known by its id in the agent.
    await eventually(async () => (/SENT: agent\.\S+ \{[^\n]*"method":"compile_package"[^]*SENT: agent\.\S+ \{[^\n]*"method":"get_task"/.test(await system.cli.output(id, 'debug')) ? true : undefined));
    await killOwner(id);
    const task = await system.cli.follow(id);
    await expectUnharmed(system, task, 'compiling', 1);
    expect(takeovers(task.events)).toBe(1);
    const sent = (await system.cli.output(id, 'debug')).match(/SENT: agent\.\S+ \{[^\n]*"method":"compile_package"/g) ?? [];
    expect(sent).toHaveLength(1);
    await deleteDeployment(system, 'compiling');
  });

  it('inside create_vm: the half-made VM is found and deleted, another takes its place', async () => {
    const held = holdCpi(system, 'create_vm.before.delay_ms', 6_000);
    const id = await startDeploy(system, hello('creating'));
    await held.reached;
    await killOwner(id);
    const task = await system.cli.follow(id);
    await expectUnharmed(system, task, 'creating', 3);
    expect(takeovers(task.events)).toBe(1);
    await deleteDeployment(system, 'creating');
  });

  it('between the success of create_vm and its record', async () => {
    const held = holdCpi(system, 'create_vm.after.delay_ms', 6_000);
    const id = await startDeploy(system, hello('unrecorded'));
    await held.reached;
    await killOwner(id);
    const task = await system.cli.follow(id);
    await expectUnharmed(system, task, 'unrecorded', 3);
    await deleteDeployment(system, 'unrecorded');
  });

  it('while it updates an instance', async () => {
    const manifest = hello('updating');
    await deployed(system, manifest);
    await upload(system, '/releases', (await buildHelloRelease({ version: '1.1.0', variant: 'second' })).tarball);
    const id = await startDeploy(system, manifest.replace('Hello from Directorate', 'Hello again'));
    await eventually(async () => ((await system.cli.output(id, 'event')).includes('"stage":"Updating instance"') ? true : undefined));
    await sleep(300);
    await killOwner(id);
    const task = await system.cli.follow(id);
    await expectUnharmed(system, task, 'updating', 3);
    expect(takeovers(task.events)).toBe(1);
    await deleteDeployment(system, 'updating');
  });

  it('is stopped for 10 s and wakes up believing that it owns the deploy: nothing it does has effect', async () => {
    const held = holdCpi(system, 'create_vm.after.delay_ms', 1_500);
    const id = await startDeploy(system, hello('stopped'));
    await held.reached;
    const owner = await ownerOf(system, id);
    system.embedded.kill(owner, 'SIGSTOP');
    const stopped = sleep(10_000).then(() => system.embedded.kill(owner, 'SIGCONT'));
    const task = await system.cli.follow(id);
    await stopped;
    await sleep(3_000);
    await expectUnharmed(system, task, 'stopped', 3);
    expect(takeovers(task.events)).toBeGreaterThanOrEqual(1);
    const { rows } = await system.db.query<{ state: string; epoch: number }>('SELECT state, epoch::int FROM tasks WHERE id = $1', [id]);
    expect(rows[0]).toMatchObject({ state: 'done' });
    await deleteDeployment(system, 'stopped');
  });

  it('twice in one deploy', async () => {
    const first = holdCpi(system, 'create_vm.after.delay_ms', 5_000);
    const id = await startDeploy(system, hello('twice'));
    await first.reached;
    await killOwner(id);
    const second = holdCpi(system, 'create_vm.after.delay_ms', 5_000);
    await second.reached;
    await killOwner(id);
    const task = await system.cli.follow(id);
    await expectUnharmed(system, task, 'twice', 3);
    expect(takeovers(task.events)).toBe(2);
    await deleteDeployment(system, 'twice');
  });
});

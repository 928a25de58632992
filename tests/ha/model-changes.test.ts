import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { cloudVms, eventLines, eventually, expectNothingPending, expectUnharmed, holdCpi, ownerOf, startDeploy, startHaSystem, upload, type HaSystem } from '../support/ha-system';
import { storeManifest, storeRelease, type StoreOptions } from '../support/store-release';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { FollowedTask } from '../support/cli-client';

/** Changes of every part of the deployment model go on under their task's id when the node that makes them dies. */

const name = 'model';
const port = 18_170;
let system: HaSystem;
/** The deployment as it is now. */
let now: StoreOptions = { port };
let answers: Record<string, unknown>[] = [];

beforeAll(async () => {
  system = await startHaSystem();
  await upload(system, '/releases', await storeRelease());
});
afterAll(async () => {
  await expectNothingPending(system);
  await system.stop();
});

/** Deploys a change and kills the node that makes it as soon as `reached` says so. */
async function killedDuring(change: Partial<StoreOptions>, reached: (id: number) => Promise<unknown>): Promise<FollowedTask> {
  now = { ...now, ...change };
  const id = await startDeploy(system, storeManifest(name, now));
  await reached(id);
  expect(system.embedded.kill(await ownerOf(system, id))).toBe(true);
  const task = await system.cli.follow(id);
  await expectUnharmed(system, task, name, 1 + (now.clients ?? 2));
  expect(eventLines(task.events).filter((line) => line.type === 'warning' && String(line.message).includes('goes on with the task'))).toHaveLength(1);
  await expectDisksAccounted();
  const active = new Set((await system.db.query<{ cid: string }>('SELECT cid FROM vms WHERE active')).rows.map((row) => row.cid));
  const vms = cloudVms(system).filter((vm) => active.has(vm.cid));
  answers = await Promise.all(vms.map((vm) => eventually(async () => (await (await fetch(`http://${vm.ips[0]}:${port}/`)).json()) as Record<string, unknown>, 10_000)));
  return task;
}

const debugHas = (pattern: RegExp) => (id: number) => eventually(async () => (pattern.test(await system.cli.output(id, 'debug')) ? true : undefined), 60_000);
const eventHas = (text: string) => (id: number) => eventually(async () => ((await system.cli.output(id, 'event')).includes(text) ? true : undefined), 60_000);

/** Every disk of the cloud is an instance's or an orphan, and none is missing. */
async function expectDisksAccounted(): Promise<void> {
  const { rows } = await system.db.query<{ cid: string }>('SELECT cid FROM persistent_disks UNION ALL SELECT cid FROM orphan_disks');
  expect(readdirSync(join(system.cloud, 'disks')).toSorted()).toEqual(rows.map((row) => row.cid).toSorted());
}

const storeAnswer = () => answers.find((answer) => answer.greeting === 'store');

describe('the node is killed', () => {
  it('while it generates variables: each name has one version, and all jobs have the same', async () => {
    await killedDuring({}, () => eventually(async () => ((await system.db.query('SELECT 1 FROM variable_values')).rowCount ?? 0) > 0 || undefined));
    const { rows } = await system.db.query<{ versions: number }>('SELECT count(*)::int AS versions FROM variable_values GROUP BY name');
    expect(rows.map((row) => row.versions)).toEqual([1, 1, 1]);
    expect(new Set(answers.map((answer) => answer.password_sha256)).size).toBe(1);
    expect(storeAnswer()).toMatchObject({ born: expect.stringMatching(/^[0-9a-f-]{36}$/) as string });
  });

  it('while a disk is copied onto a larger one: its content is there, on one disk', async () => {
    const born = storeAnswer()?.born;
    await killedDuring({ disk: 128 }, debugHas(/SENT: agent\.\S+ \{[^\n]*"method":"migrate_disk"/));
    expect(storeAnswer()?.born).toBe(born);
    const { rows } = await system.db.query<{ size: number; active: boolean }>('SELECT size, active FROM persistent_disks');
    expect(rows).toEqual([{ size: 128, active: true }]);
    expect((await system.db.query('SELECT 1 FROM orphan_disks WHERE size = 64')).rowCount).toBe(1);
  });

  it('inside create_disk: nothing is lost without a word', async () => {
    const born = storeAnswer()?.born;
    const held = holdCpi(system, 'create_disk.before.delay_ms', 6_000);
    await killedDuring({ disk: 192 }, () => held.reached);
    expect(storeAnswer()?.born).toBe(born);
  });

  it('while VMs are swapped for new ones', async () => {
    await killedDuring({ hotSwap: true, generation: '2' }, eventHas('"stage":"Updating instance"'));
    const { rows } = await system.db.query<{ n: number }>('SELECT count(*)::int AS n FROM vms WHERE NOT active');
    expect(rows[0]?.n).toBe(0);
  });

  it('while instances move to another AZ and a group grows', async () => {
    await killedDuring({ hotSwap: false, clientAzs: ['z2', 'z3'], clients: 3 }, eventHas('"stage":"Updating instance"'));
    expect(answers.filter((answer) => answer.greeting === 'client').map((answer) => answer.az).toSorted()).toEqual(['z2', 'z2', 'z3']);
    expect(answers.filter((answer) => answer.greeting === 'client').map((answer) => answer.stores)).toEqual(Array.from({ length: 3 }, () => [storeAnswer()?.ip]));
  });

  it('while it deletes the deployment: its disks are orphans, nothing else is left', async () => {
    const held = holdCpi(system, 'delete_vm.before.delay_ms', 6_000);
    const id = await system.cli.start('DELETE', `/deployments/${name}`);
    await held.reached;
    system.embedded.kill(await ownerOf(system, id));
    const task = await system.cli.follow(id);
    expect(task.state, task.events).toBe('done');
    await expectDisksAccounted();
    // Those that were swapped for others wait for their clean-up, with their addresses; nothing else has any.
    const orphans = (await system.db.query<{ cid: string }>('SELECT cid FROM orphaned_vms')).rows.map((row) => row.cid);
    await eventually(() => (JSON.stringify(cloudVms(system).map((vm) => vm.cid).toSorted()) === JSON.stringify(orphans.toSorted()) ? true : undefined));
    const { rows } = await system.db.query<{ n: number }>('SELECT (SELECT count(*) FROM persistent_disks) + (SELECT count(*) FROM ip_addresses WHERE orphaned_vm_id IS NULL) + (SELECT count(*) FROM variable_sets) + (SELECT count(*) FROM vms) AS n');
    expect(Number(rows[0]?.n)).toBe(0);
  });
});

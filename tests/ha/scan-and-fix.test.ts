import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { findVmProcesses } from '../../server/local/cpi/processes';
import { deleteVm } from '../../server/local/cpi/vms';
import { appAnswers, cloudVms, deleteDeployment, deployed, eventLines, eventually, expectNothingPending, expectUnharmed, hello, holdCpi, ownerOf, startHaSystem, type HaSystem } from '../support/ha-system';

/** Dead VMs of the local cloud come back as they were, whatever happens to the node that makes them. */

let system: HaSystem;

beforeAll(async () => {
  // Only the tests ask for scans here.
  system = await startHaSystem({ config: { health_monitor: { resurrector: { enabled: false } } } });
});
afterAll(async () => {
  await expectNothingPending(system);
  await system.stop();
});

interface RecordedVm {
  index: number;
  uuid: string;
  cid: string;
  address: string;
}

async function recordedVms(deployment: string): Promise<RecordedVm[]> {
  const { rows } = await system.db.query<RecordedVm>(
    `SELECT i.index, i.uuid, v.cid, a.address FROM instances i JOIN deployments d ON d.id = i.deployment_id JOIN vms v ON v.instance_id = i.id AND v.active JOIN ip_addresses a ON a.instance_id = i.id
     WHERE d.name = $1 AND NOT i.compilation ORDER BY i.index`, [deployment]);
  return rows;
}

function signalVm(cid: string, signal: NodeJS.Signals): void {
  const pids = findVmProcesses({ cid, group: undefined });
  expect(pids.length).toBeGreaterThan(0);
  for (const pid of pids) process.kill(pid, signal);
}

function scanAndFix(deployment: string, vms: readonly RecordedVm[]): Promise<number> {
  return system.cli.start('PUT', `/deployments/${deployment}/scan_and_fix`, { contentType: 'application/json', body: JSON.stringify({ jobs: { hello: vms.map((vm) => vm.uuid) } }) });
}

describe('scan and fix', () => {
  it('leaves VMs that are well alone', async () => {
    await deployed(system, hello('healthy'));
    const before = await recordedVms('healthy');
    const task = await system.cli.follow(await scanAndFix('healthy', before));
    expect([task.state, task.result]).toEqual(['done', 'scan and fix complete']);
    expect(task.events).toContain('3 OK, 0 unresponsive, 0 missing, 0 unbound');
    expect(await recordedVms('healthy')).toEqual(before);
    const { rows } = await system.db.query<{ title: string }>("SELECT title FROM alerts WHERE origin = 'director' AND deployment = 'healthy' ORDER BY seq");
    expect(rows.map((row) => row.title)).toEqual(['director - begin update deployment', 'director - finish update deployment']);
    await deleteDeployment(system, 'healthy');
  });

  it('makes a killed VM, a deleted one and one that hangs again, although its node dies inside create_vm', async () => {
    await deployed(system, hello('dead'));
    const before = await recordedVms('dead');
    const [killed, deleted, hanging] = before;
    if (!killed || !deleted || !hanging) throw new Error('three instances were deployed');
    signalVm(killed.cid, 'SIGKILL');
    await deleteVm(system.embedded.installation.cpi, deleted.cid);
    signalVm(hanging.cid, 'SIGSTOP');

    const id = await scanAndFix('dead', before);
    await eventually(async () => ((await system.cli.output(id, 'event')).includes('0 OK, 2 unresponsive, 1 missing') ? true : undefined), 40_000);
    const held = holdCpi(system, 'create_vm.after.delay_ms', 6_000);
    await held.reached;
    const owner = await ownerOf(system, id);
    expect(system.embedded.kill(owner)).toBe(true);
    const task = await system.cli.follow(id);
    await expectUnharmed(system, task, 'dead', 3);
    expect(task.result).toBe('scan and fix complete');
    expect(eventLines(task.events).filter((line) => line.type === 'warning' && String(line.message).includes('goes on with the task'))).toHaveLength(1);
    expect(eventLines(task.events).filter((line) => line.stage === 'Scanning 3 VMs' && line.state === 'finished')).toHaveLength(2);

    const after = await recordedVms('dead');
    expect(after.map(({ index, uuid, address }) => ({ index, uuid, address }))).toEqual(before.map(({ index, uuid, address }) => ({ index, uuid, address })));
    expect(cloudVms(system).filter((vm) => before.some(({ cid }) => cid === vm.cid))).toEqual([]);
    expect((await appAnswers(system, 'dead')).map((answer) => answer.greeting)).toEqual(Array.from({ length: 3 }, () => 'Hello from Directorate'));
    // What was made from the records is what a deploy would have made.
    const again = await deployed(system, JSON.stringify(await deployedManifest('dead')));
    expect(again.events).not.toContain('Updating instance');
    await deleteDeployment(system, 'dead');
  });
});

async function deployedManifest(name: string): Promise<unknown> {
  const { rows } = await system.db.query<{ manifest: unknown }>('SELECT manifest FROM deployments WHERE name = $1', [name]);
  return rows[0]?.manifest;
}

import { allClouds, type CpiConfig } from './config';
import { mapPool } from '../../core/concurrency';
import { findVm, listVms, saveVm, type VmRecord } from './records';
import { withLock } from './state';
import { powerOff, powerOn, runs } from './vms';

/** Stopping and starting all VMs of a local cloud, and of the named ones beside it, together with the installation that it belongs to. */

const parallel = 8;

/** Ends the processes of every VM; their records, disks and installed jobs stay. */
export async function haltVms(config: CpiConfig): Promise<void> {
  await forEachVm(config, async (stateDir, vm) => {
    await powerOff(stateDir, vm);
    // A half-made or half-deleted VM stays what it is: its director finds and deletes it.
    if (vm.state === 'running') saveVm(stateDir, { ...vm, state: 'halted', pid: null, process: null });
  });
}

/** Starts every VM that should run and does not: after {@link haltVms}, or after the machine restarted. */
export async function bootVms(config: CpiConfig): Promise<void> {
  await forEachVm(config, async (stateDir, vm) => {
    if ((vm.state !== 'running' && vm.state !== 'halted') || runs(vm)) return;
    await powerOff(stateDir, vm);
    powerOn(stateDir, vm);
  });
}

async function forEachVm(config: CpiConfig, work: (stateDir: string, vm: VmRecord) => Promise<void>): Promise<void> {
  const all = allClouds(config).flatMap(({ state_dir: stateDir }) => listVms(stateDir).map(({ cid }) => ({ stateDir, cid })));
  await mapPool(all, parallel, ({ stateDir, cid }) =>
    withLock(stateDir, { kind: 'vm', name: cid }, async () => {
      const vm = findVm(stateDir, cid);
      if (vm !== undefined) await work(stateDir, vm);
    }),
  );
}

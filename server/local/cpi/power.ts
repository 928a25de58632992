import type { CpiConfig } from './config';
import { mapPool } from '../../core/concurrency';
import { findVm, listVms, saveVm, type VmRecord } from './records';
import { withLock } from './state';
import { powerOff, powerOn, runs } from './vms';

/** Stopping and starting all VMs of a local cloud together with the installation that it belongs to. */

const parallel = 8;

/** Ends the processes of every VM; their records, disks and installed jobs stay. */
export async function haltVms(config: CpiConfig): Promise<void> {
  await forEachVm(config, async (vm) => {
    await powerOff(config.state_dir, vm);
    // A half-made or half-deleted VM stays what it is: its director finds and deletes it.
    if (vm.state === 'running') saveVm(config.state_dir, { ...vm, state: 'halted', pid: null, process: null });
  });
}

/** Starts every VM that should run and does not: after {@link haltVms}, or after the machine restarted. */
export async function bootVms(config: CpiConfig): Promise<void> {
  await forEachVm(config, async (vm) => {
    if ((vm.state !== 'running' && vm.state !== 'halted') || runs(vm)) return;
    await powerOff(config.state_dir, vm);
    powerOn(config.state_dir, vm);
  });
}

async function forEachVm(config: CpiConfig, work: (vm: VmRecord) => Promise<void>): Promise<void> {
  await mapPool(listVms(config.state_dir), parallel, ({ cid }) =>
    withLock(config.state_dir, { kind: 'vm', name: cid }, async () => {
      const vm = findVm(config.state_dir, cid);
      if (vm !== undefined) await work(vm);
    }),
  );
}

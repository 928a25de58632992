import type { Tx } from '../../db/client';
import { code, DirectorError } from '../core/errors';
import type { NetworkSettings } from '../instances/instance';
import { addressPool } from '../plan/address-pool';
import { dynamicSettings, manualSettings } from '../plan/network-settings';
import type { TaskContext } from '../tasks/context';
import { listTakenAddresses, reserveAddresses } from './store';
import type { CompilationPlan } from '../plan/compilation';

/** Addresses for compilation VMs: one of the compilation network each, recorded before the VM is made unless the cloud allots it. */
export interface WorkerNetworks {
  reserve(ctx: TaskContext, createInstance: (tx: Tx) => Promise<number>): Promise<{ instanceId: number; networks: Record<string, NetworkSettings> }>;
}

const role = { defaultFor: ['dns', 'gateway'] };

export function withWorkerNetworks(compilation: CompilationPlan): WorkerNetworks {
  const { network } = compilation;
  return {
    async reserve(ctx, createInstance) {
      return ctx.write(async (tx) => {
        const instanceId = await createInstance(tx);
        return { instanceId, networks: { [network.name]: await settingsFor(tx, compilation, { instanceId, taskId: ctx.taskId }) } };
      });
    },
  };
}

async function settingsFor(tx: Tx, { network, az }: CompilationPlan, owner: { instanceId: number; taskId: number }): Promise<NetworkSettings> {
  switch (network.type) {
    case 'dynamic':
      return dynamicSettings(network, az, role);
    case 'vip':
      throw new DirectorError(130007, "Can't provide any defaults since this is a VIP network");
    case 'manual':
      for (;;) {
        const free = addressPool((await listTakenAddresses(tx)).map((row) => row.address)).allot(network, az);
        if (!free) throw new DirectorError(code.networkReservationNotEnoughCapacity, `Network '${network.name}' has no free address for a compilation VM: give it a larger range or fewer compilation workers`);
        const lost = await reserveAddresses(tx, [{ address: free.address, networkName: network.name, static: false, instanceId: owner.instanceId }], owner.taskId);
        if (lost.length === 0) return manualSettings(free, role);
      }
  }
}

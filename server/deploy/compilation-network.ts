import type { Tx } from '../../db/client';
import { code, DirectorError } from '../core/errors';
import type { NetworkSettings } from '../instances/instance';
import { freeAddress, networkSettings } from '../plan/networks';
import type { CompilationPlan } from '../plan/types';
import type { TaskContext } from '../tasks/context';
import { listTakenAddresses, reserveAddresses } from './store';

/** Addresses for compilation VMs: one dynamic address of the compilation network each, recorded before the VM is made. */
export interface WorkerNetworks {
  reserve(ctx: TaskContext, createInstance: (tx: Tx) => Promise<number>): Promise<{ instanceId: number; networks: Record<string, NetworkSettings> }>;
}

export function withWorkerNetworks(compilation: CompilationPlan): WorkerNetworks {
  return {
    async reserve(ctx, createInstance) {
      return ctx.write(async (tx) => {
        const instanceId = await createInstance(tx);
        for (;;) {
          const taken = new Set((await listTakenAddresses(tx)).map((row) => row.address));
          const free = freeAddress(compilation.network, compilation.az, taken);
          if (!free) throw new DirectorError(code.networkReservationNotEnoughCapacity, `Network '${compilation.network.name}' has no free address for a compilation VM: give it a larger range or fewer compilation workers`);
          const lost = await reserveAddresses(tx, [{ address: free.address, networkName: compilation.network.name, static: false, instanceId }], ctx.taskId);
          if (lost.length === 0) return { instanceId, networks: { [compilation.network.name]: networkSettings(compilation.network, free, ['dns', 'gateway']) } };
        }
      });
    },
  };
}

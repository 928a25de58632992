import { code, DirectorError } from '../core/errors';
import { dynamicNetworksOf } from './held-addresses';
import type { ResolvedGroup } from './phases';
import type { RecordedInstance } from './types';

/** Where an instance goes; `existing` undefined: a new one. */
export interface Slot {
  az: string | null;
  existing?: RecordedInstance;
  staticIps: Readonly<Record<string, string>>;
}

/** The networks of an ignored instance must stay what they are. Throws 190020. */
export function checkIgnoredNetworks(group: ResolvedGroup, instance: RecordedInstance): void {
  const wanted = [...new Set(group.networks.map((network) => network.name))].sort();
  const present = [...new Set([...instance.reservations.map((reservation) => reservation.network), ...dynamicNetworksOf(instance).keys()])].sort();
  if (wanted.join('\n') === present.join('\n')) return;
  throw new DirectorError(
    code.deploymentIgnoredInstancesModification,
    `In instance group '${group.name}', which contains ignored vms, an attempt was made to modify the networks. This operation is not allowed.`,
  );
}

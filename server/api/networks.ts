import { DirectorError } from '../core/errors';
import { findNetwork, listOrphanedNetworks } from '../deployments/networks-store';
import type { DeleteOrphanNetworksPayload } from '../task-types/orphaned-networks';
import { acceptTask } from './accept-task';
import type { ApiDeps } from './deps';
import { presentTime } from './present';
import { json, text, type Reply } from './reply';
import type { ApiRequest } from './route';

/** Managed networks. Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/networks_controller.rb. */

export async function list(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const orphaned = request.query.get('orphaned');
  if (orphaned === null || orphaned === 'false') return text(500, 'listing active networks is not implemented');
  return json((await listOrphanedNetworks(deps.db)).map(({ name, type, createdAt, orphanedAt }) => ({ name, type, created_at: presentTime(createdAt), orphaned_at: presentTime(orphanedAt) })));
}

export async function remove(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const name = request.param('name');
  return acceptTask(deps, request, async (tx) => {
    const found = await findNetwork(tx, name);
    if (!found) throw new DirectorError(16012, `Deleting non-existing network ${name}`);
    if (!found.orphaned) throw new DirectorError(160011, `Deleting unorphaned network is not supported: ${name}`);
    const payload: DeleteOrphanNetworksPayload = { names: [name] };
    return { type: 'delete_orphan_networks', lane: 'normal', description: 'delete orphan networks', payload, event: { action: 'delete', objectType: 'network', objectName: name } };
  });
}

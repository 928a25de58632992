import { isAllowed, requireAccess, type Permission } from '../auth/permissions';
import { isHash, type Hash } from '../core/yaml';
import { DirectorError } from '../core/errors';
import { createExternalLink, deleteLink, findLink, findProviderIntent, listLinkConsumers, listLinkProviders, listLinks, type ListedLink } from '../deployments/links-api-store';
import { getDeployment, type Deployment } from '../deployments/store';
import { listAzIds, listDnsIds } from '../dns/ids-store';
import { isHealthFilter, linkQueryName, namesInLink } from '../dns/names';
import { withAddresses } from '../plan/links';
import type { ApiDeps } from './deps';
import { presentTime } from './present';
import { empty, json, type Reply } from './reply';
import type { ApiRequest } from './route';

/**
 * Links for programs outside: what deployments provide and consume, and links that such programs are given.
 * Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/link*_controller.rb and api/links_api_manager.rb.
 */

const linkNotFound = 810000;

async function deploymentIn(deps: ApiDeps, request: ApiRequest): Promise<Deployment> {
  const name = request.query.get('deployment');
  if (name === null) throw new DirectorError(190024, 'Deployment name is required');
  const deployment = await getDeployment(deps.db, name);
  requireAccess(request.principal, { permission: 'dep:read', directorUuid: deps.director.uuid, teams: deployment.teams });
  return deployment;
}

export async function providers(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const deployment = await deploymentIn(deps, request);
  const rows = await listLinkProviders(deps.db, deployment.id);
  return json(
    rows.map(({ id, name, shared, type, originalName, owner }) => ({
      id: String(id), name, shared, deployment: deployment.name, link_provider_definition: { type, name: originalName },
      owner_object: { type: owner.type, name: owner.name, info: { instance_group: owner.instanceGroup } },
    })),
  );
}

export async function consumers(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const deployment = await deploymentIn(deps, request);
  const rows = await listLinkConsumers(deps.db, deployment.id);
  return json(
    rows.map(({ id, name, optional, type, originalName, owner }) => ({
      id: String(id), name, optional, deployment: deployment.name,
      owner_object: { type: owner.type, name: owner.name, ...(owner.type === 'external' ? {} : { info: { instance_group: owner.instanceGroup } }) },
      link_consumer_definition: { name: originalName, type },
    })),
  );
}

export async function list(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const deployment = await deploymentIn(deps, request);
  return json((await listLinks(deps.db, deployment.id)).map(presentLink));
}

function presentLink(link: ListedLink): Hash {
  return {
    id: String(link.id), name: link.name, link_consumer_id: String(link.consumerIntentId), link_provider_id: link.providerIntentId === null ? null : String(link.providerIntentId), created_at: presentTime(link.createdAt),
  };
}

/** Gives a program outside a link that a deployment shares. The same request again gives the same link. */
export async function create(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const { providerId, consumer, network } = readOrder(await request.body.json());
  const provider = await findProviderIntent(deps.db, providerId);
  if (!provider) throw new DirectorError(810002, `Invalid link_provider_id: ${providerId}`);
  requireTeam(deps, request, 'create_link', provider.teams);
  if (!provider.shared) throw new DirectorError(810009, 'Provider not `shared`');
  const content = provider.content ?? {};
  if (network !== undefined && !(Array.isArray(content.networks) && content.networks.includes(network))) {
    throw new DirectorError(810003, `Can't resolve network: \`${network}\` in provider id: ${provider.id} for \`${consumer}\``);
  }
  const addressed = withAddresses(content, { network });
  if (typeof addressed === 'string') throw new DirectorError(linkNotFound, addressed);
  const link = await deps.db.transaction((tx) => createExternalLink(tx, { provider, consumer, network, content: addressed }));
  return json(presentLink(link));
}

function readOrder(payload: unknown): { providerId: string; consumer: string; network: string | undefined } {
  const refuse = (problem: string): never => {
    throw new DirectorError(810001, `Invalid request: ${problem}`);
  };
  const body = isHash(payload) ? payload : {};
  const { link_provider_id: providerId, link_consumer: consumer, network } = body;
  if (providerId === undefined || providerId === null || providerId === '') return refuse('`link_provider_id` must be provided');
  if (typeof providerId !== 'string') return refuse('`link_provider_id` must be a String');
  if (!isHash(consumer)) return refuse('`link_consumer` section must be defined');
  if (!isHash(consumer.owner_object)) return refuse('`link_consumer.owner_object` section must be defined');
  const { type, name } = consumer.owner_object;
  if (type !== 'external') return refuse("`link_consumer.owner_object.type` should be 'external'");
  if (typeof name !== 'string' || name === '') return refuse('`link_consumer.owner_object.name` must not be empty');
  return { providerId, consumer: name, network: typeof network === 'string' ? network : undefined };
}

export async function remove(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const id = request.param('id');
  const link = await findLink(deps.db, id);
  if (!link) throw new DirectorError(linkNotFound, `Invalid link id: ${id}`, { status: 404 });
  requireTeam(deps, request, 'delete_link', link.teams);
  if (link.consumer.type !== 'external') throw new DirectorError(810005, 'Error deleting link: not a external link');
  await deps.db.transaction((tx) => deleteLink(tx, link));
  return empty();
}

/** The caller needs the right for the deployment's teams, not only for some team of its own. */
function requireTeam(deps: ApiDeps, request: ApiRequest, permission: Permission, teams: readonly string[]): void {
  if (isAllowed(request.principal, { permission: 'admin', directorUuid: deps.director.uuid })) return;
  requireAccess(request.principal, { permission: 'dep:admin', directorUuid: deps.director.uuid, teams });
  requireAccess(request.principal, { permission, directorUuid: deps.director.uuid, teams });
}

/** The DNS query for the provider of a link; of a link from a manifest, the address that stands there. */
export async function address(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const id = request.query.get('link_id');
  if (id === null) throw new DirectorError(810006, 'Link id is required');
  if (request.query.has('azs')) throw new DirectorError(810008, '`azs` param must be array type: `azs[]=`');
  const azs = request.query.getAll('azs[]');
  const known = await listAzIds(deps.db);
  const unknown = azs.find((name) => !known.has(name));
  if (unknown !== undefined) throw new DirectorError(810008, `az ${unknown} is not valid`);
  const status = request.query.get('status') ?? 'default';
  if (!isHealthFilter(status)) throw new DirectorError(810007, 'status must be a one of: ["healthy", "unhealthy", "all", "default"]');
  const link = await findLink(deps.db, id);
  if (!link) throw new DirectorError(linkNotFound, `Could not find a link with id ${id}`, { status: 404 });
  requireAccess(request.principal, { permission: 'dep:read', directorUuid: deps.director.uuid, teams: link.teams });
  const { content } = link;
  if (link.providerType === 'manual') return json({ address: content.address ?? null });
  const ids = await listDnsIds(deps.db, [namesInLink(content).group.deployment]);
  return json({ address: linkQueryName(content, ids, { azs, status }) });
}

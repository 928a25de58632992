import { canonicalName, instanceDnsName } from '../core/names';

/**
 * The names under which agents answer for an instance, or for all of a group that fit a query.
 *
 *   long   `<uuid>.<group>.<network>.<deployment>.<domain>`, of many `q-<slug>.<group>.<network>.<deployment>.<domain>`
 *   short  `q-<slug>.q-g<group id>.<domain>`
 *
 * The slug's parts, sorted as text: `a<id>` per AZ, `m<id>` of one instance and `n<id>` of the network (short names only),
 * `y1` or `y0` for a first health check that is waited for or not, and always `s<n>` for the health that is wanted.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/dns/dns_encoder.rb.
 */

/** A group is named by its instances' group, or by the alias and type of a link that they provide. */
export type DnsGroupKind = 'instance-group' | 'link';

export interface DnsGroup {
  kind: DnsGroupKind;
  /** Of an instance group, or as `linkGroupName` makes it. */
  name: string;
  deployment: string;
}

/** Numbers that stand for names; a name that has none yet is 0, which only a plan that is not carried out may say. */
export interface DnsIds {
  azs: ReadonlyMap<string, number>;
  networks: ReadonlyMap<string, number>;
  /** By `groupKey`. */
  groups: ReadonlyMap<string, number>;
}

export const noDnsIds: DnsIds = { azs: new Map(), networks: new Map(), groups: new Map() };

/** No name has a NUL: Postgres cannot store it. */
export function groupKey({ kind, name, deployment }: DnsGroup): string {
  return `${kind}\0${deployment}\0${name}`;
}

/** Group of all instances that provide a link under an alias: whoever they are, they have one name. */
export function linkGroupName(link: { name: string; type: string }): string {
  return `${link.name}-${link.type}`;
}

const healthFilters = { default: 0, unhealthy: 1, healthy: 3, all: 4 } as const;
export type HealthFilter = keyof typeof healthFilters;

export function isHealthFilter(text: string): text is HealthFilter {
  return Object.hasOwn(healthFilters, text);
}

export interface DnsQuery {
  group: DnsGroup;
  network: string;
  domain: string;
  short: boolean;
  /** One instance; `id` is its row's. Without it: all of the group. */
  instance?: { uuid: string; id: number };
  /** Only instances of these. */
  azs?: readonly string[];
  status?: HealthFilter;
  initialHealthCheck?: 'synchronous' | 'asynchronous';
}

/** The name that asks for what the query says. Throws 420001 for a long name that DNS cannot express. */
export function encodeQuery(query: DnsQuery, ids: DnsIds): string {
  const { group, network, domain, short, instance } = query;
  if (short) return `q-${slug(query, ids)}.q-g${ids.groups.get(groupKey(group)) ?? 0}.${domain}`;
  return instanceDnsName(instance ? instance.uuid : `q-${slug(query, ids)}`, { group: group.name, network, deployment: group.deployment, domain });
}

function slug({ short, instance, network, azs = [], status = 'default', initialHealthCheck }: DnsQuery, ids: DnsIds): string {
  const parts = azs.map((az) => `a${ids.azs.get(az) ?? 0}`);
  if (short && instance) parts.push(`m${instance.id}`);
  if (short) parts.push(`n${ids.networks.get(network) ?? 0}`);
  if (initialHealthCheck !== undefined) parts.push(initialHealthCheck === 'synchronous' ? 'y1' : 'y0');
  return [...parts, `s${healthFilters[status]}`].toSorted().join('');
}

/** What records say of an instance beside its addresses; `links`: groups of the links that it provides, sorted. */
export interface DnsIdentity {
  group: string;
  az: string | null;
  links: string[];
}

/** What of a link's content decides the name of its provider. */
interface LinkNaming {
  deployment: string;
  instanceGroup: string;
  linkGroup: string;
  network: string;
  domain: string;
  short: boolean;
  byLink: boolean;
}

/** Groups and networks of which a link's address needs the ids. */
export function namesInLink(content: Readonly<Record<string, unknown>>): { group: DnsGroup; network: string } {
  const { deployment, instanceGroup, linkGroup, network, byLink } = namingOf(content);
  return { group: byLink ? { kind: 'link', name: linkGroup, deployment } : { kind: 'instance-group', name: instanceGroup, deployment }, network };
}

/**
 * The name of all instances behind a link, as its provider's deployment wants it. `content`: as links are recorded. A link that stands in
 * the manifest itself has its own `address`, which is not asked for here.
 * Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/links_api_manager.rb and config_server/client.rb.
 */
export function linkQueryName(content: Readonly<Record<string, unknown>>, ids: DnsIds, criteria: Pick<DnsQuery, 'azs' | 'status' | 'initialHealthCheck'> = {}): string {
  const { domain, short, byLink } = namingOf(content);
  return encodeQuery({ ...criteria, ...namesInLink(content), domain, short: short || byLink }, ids);
}

function namingOf(content: Readonly<Record<string, unknown>>): LinkNaming {
  const text = (key: string, otherwise = '') => (typeof content[key] === 'string' ? content[key] : otherwise);
  return {
    deployment: text('deployment_name'), instanceGroup: text('instance_group'), linkGroup: text('group_name'), network: text('default_network'), domain: text('domain', 'bosh'),
    short: content.use_short_dns_addresses === true, byLink: content.use_link_dns_names === true,
  };
}

/** The name with its first label replaced by `*`, for certificates of everything below it. */
export function wildcardOf(name: string): string {
  return `*${name.slice(name.indexOf('.'))}`;
}

/** The canonical form, or undefined for what DNS cannot express. */
export function findCanonicalName(name: string): string | undefined {
  try {
    return canonicalName(name);
  } catch {
    return undefined;
  }
}

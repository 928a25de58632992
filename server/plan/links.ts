import { code, DirectorError } from '../core/errors';
import { parseBlock } from '../core/ip';
import { isHash, type Hash } from '../core/yaml';
import { linkGroupName } from '../dns/names';
import type { NetworkSettings } from '../instances/instance';
import { linkAddress, type Naming } from './addresses';
import type { LinkConsumer, LinkIntents, LinkProvider } from './link-intents';

/**
 * Who gets which link, and what it contains. All that cannot be resolved is told at once.
 * Rules and texts: cloudfoundry/bosh src/bosh-director/lib/bosh/director/links/links_manager.rb, links_error_builder.rb
 * and deployment_plan/links/link.rb.
 */

/** A link that another deployment recorded. */
export interface RecordedProvider {
  deployment: string;
  group: string;
  job: string;
  originalName: string;
  name: string;
  type: string;
  shared: boolean;
  consumable: boolean;
  disk?: true | undefined;
  /** What it was given at that deployment's last deploy; undefined when nobody could use it then. */
  content?: Hash | undefined;
}

/** The instances of a group as links show them, in the order in which they are updated. */
export interface LinkGroup {
  name: string;
  /** Its addresses are not known before the errand is run: they are shown as null. */
  dormant: boolean;
  networks: readonly string[];
  /** Owner of `addressable`, else of `gateway`. */
  defaultNetwork: string;
  instances: readonly {
    uuid: string;
    index: number;
    bootstrap: boolean;
    az: string | null;
    networks: Readonly<Record<string, Pick<NetworkSettings, 'type' | 'ip'>>>;
  }[];
}

export interface LinkFacts {
  naming: Naming;
  groups: readonly LinkGroup[];
  /** Links that other deployments recorded. */
  recorded: readonly RecordedProvider[];
}

/** A provider with its content; undefined when nobody may use it. */
export interface PlannedProvider extends LinkProvider {
  content?: Hash | undefined;
}

/** A consumer with what it gets; undefined when it gets nothing. */
export interface PlannedConsumer extends LinkConsumer {
  link?: { content: Hash; provider: { deployment: string; group: string; job: string; originalName: string; disk?: true | undefined } | 'manual' } | undefined;
}

export interface PlannedLinks {
  providers: readonly PlannedProvider[];
  consumers: readonly PlannedConsumer[];
}

/** Resolves every link of the deployment. Throws one error with all that cannot be resolved. */
export function resolveLinks(intents: LinkIntents, facts: LinkFacts): PlannedLinks {
  const providers = intents.providers.map((provider): PlannedProvider => (isWanted(provider, intents.consumers, facts) ? { ...provider, content: contentOf(provider, facts) } : provider));
  const own = providers.map((provider): RecordedProvider => ({ ...provider, deployment: facts.naming.deployment }));
  const errors: string[] = [];
  const consumers = intents.consumers.map((consumer): PlannedConsumer => {
    const outcome = resolveOne(consumer, own, facts);
    if (typeof outcome === 'string') errors.push(outcome);
    return typeof outcome === 'object' ? { ...consumer, link: outcome } : consumer;
  });
  if (errors.length > 0) throw new DirectorError(code.generic, `Failed to resolve links from deployment '${facts.naming.deployment}'. See errors below:\n  - ${errors.join('\n  - ')}`);
  return { providers, consumers };
}

/** The links of one job: name in its spec to content. */
export function linksOfJob(links: PlannedLinks, group: string, job: string): Record<string, Hash> {
  return Object.fromEntries(links.consumers.filter((consumer) => consumer.group === group && consumer.job === job).flatMap(({ originalName, link }) => (link ? [[originalName, link.content]] : [])));
}

/** Of providers that have only an IP where a name is wanted: their deployment does not use names. */
export function nameWarnings({ consumers }: PlannedLinks, useDnsAddresses: boolean): string[] {
  const texts = consumers.flatMap(({ ipAddresses, link }) => {
    const wantsName = ipAddresses === undefined ? useDnsAddresses : !ipAddresses;
    if (!wantsName || !link || link.provider === 'manual' || !Array.isArray(link.content.instances)) return [];
    const unnamed = link.content.instances.filter((instance) => isHash(instance) && typeof instance.address === 'string' && parseBlock(instance.address) !== undefined);
    return unnamed.flatMap((instance) => (isHash(instance) ? [`DNS address not available for the link provider instance: ${String(instance.name)}/${String(instance.id)}`] : []));
  });
  return [...new Set(texts)];
}

function isWanted(provider: LinkProvider, consumers: readonly LinkConsumer[], { naming: { deployment } }: LinkFacts): boolean {
  if (provider.shared) return true;
  return consumers.some((consumer) => !consumer.blocked && consumer.type === provider.type && (consumer.fromDeployment ?? deployment) === deployment && (!consumer.explicit || consumer.name === provider.name));
}

/** The link, an error, or undefined: no link. */
function resolveOne(consumer: LinkConsumer, own: readonly RecordedProvider[], facts: LinkFacts): NonNullable<PlannedConsumer['link']> | string | undefined {
  if (consumer.manual) return { provider: 'manual', content: { ...consumer.manual, deployment_name: facts.naming.deployment } };
  const found = candidates(consumer, own, facts);
  if (found.length === 0 && consumer.optional && (!consumer.explicit || consumer.blocked)) return undefined;
  const [provider, ...others] = found;
  if (!provider || others.length > 0) return linkError(consumer, found);
  const content = provider.content ?? {};
  const networks = Array.isArray(content.networks) ? content.networks : [];
  if (consumer.network !== undefined && !networks.includes(consumer.network)) return linkError(consumer, found);
  const addressed = withAddresses(content, consumer);
  if (typeof addressed === 'string') return addressed;
  const { deployment, group, job, originalName, disk } = provider;
  return { content: addressed, provider: { deployment, group, job, originalName, ...(disk ? { disk } : {}) } };
}

function candidates(consumer: LinkConsumer, own: readonly RecordedProvider[], facts: LinkFacts): RecordedProvider[] {
  if (consumer.blocked) return [];
  const from = consumer.fromDeployment ?? facts.naming.deployment;
  const foreign = from !== facts.naming.deployment;
  const all = foreign ? facts.recorded.filter((provider) => provider.deployment === from) : own;
  return all.filter((provider) => provider.type === consumer.type && provider.consumable && (!consumer.explicit || (provider.name === consumer.name && (!foreign || provider.shared))));
}

/** What a provider has to say of its group. */
function contentOf(provider: LinkProvider, { naming, groups }: LinkFacts): Hash {
  if (provider.disk) return { deployment_name: naming.deployment, properties: provider.properties, networks: [], instances: [] };
  const group = groups.find((candidate) => candidate.name === provider.group);
  if (!group) throw new Error(`the instance group '${provider.group}' is not planned`);
  return {
    deployment_name: naming.deployment,
    domain: naming.domain,
    default_network: group.defaultNetwork,
    networks: [...group.networks],
    instance_group: group.name,
    properties: provider.properties,
    use_short_dns_addresses: naming.useShortDnsAddresses,
    use_dns_addresses: naming.useDnsAddresses,
    use_link_dns_names: naming.useLinkDnsNames,
    group_name: linkGroupName(provider),
    instances: group.instances.map((instance) => contentOfInstance(instance, { provider, naming, group })),
  };
}

function contentOfInstance({ uuid, index, bootstrap, az, networks }: LinkGroup['instances'][number], at: { provider: LinkProvider; naming: Naming; group: LinkGroup }): Hash {
  const { provider, naming, group } = at;
  // A network whose address is not known yet has none.
  const addresses = (preferName: boolean): Record<string, string | null> =>
    Object.fromEntries(Object.entries(networks).flatMap(([network, settings]) => {
      const address = linkAddress(naming, { uuid, group: group.name, network, settings }, { ...provider, preferName });
      return address === null && !group.dormant ? [] : [[network, address]];
    }));
  const preferred = addresses(naming.useDnsAddresses);
  return { name: group.name, id: uuid, index, bootstrap, az, address: preferred[group.defaultNetwork] ?? null, addresses: addresses(false), dns_addresses: addresses(true) };
}

/** The content as one consumer gets it: addresses of the network, and in the form, that it wants. A text is an error. */
export function withAddresses(content: Hash, consumer: Pick<LinkConsumer, 'network' | 'ipAddresses'>): Hash | string {
  const isDisk = Array.isArray(content.networks) && content.networks.length === 0;
  if (!Array.isArray(content.instances) || isDisk) return content;
  const network = consumer.network ?? (typeof content.default_network === 'string' ? content.default_network : '');
  const kind = (consumer.ipAddresses ?? content.use_dns_addresses !== true) ? 'addresses' : 'dns_addresses';
  const instances: Hash[] = [];
  for (const instance of content.instances) {
    if (!isHash(instance)) continue;
    const { addresses, dns_addresses: dnsAddresses, ...rest } = instance;
    const known = kind === 'addresses' ? addresses : dnsAddresses;
    if (!isHash(known) || !(network in known)) return `Provider link does not have network: '${network}'`;
    instances.push({ ...rest, address: known[network] });
  }
  return { ...content, default_network: network, instances };
}

function linkError(consumer: LinkConsumer, found: readonly RecordedProvider[]): string {
  const alias = consumer.name === consumer.originalName ? '' : `alias '${consumer.name}' and `;
  const heading = `Failed to resolve link '${consumer.originalName}' with ${alias}type '${consumer.type}' from job '${consumer.job}' in instance group '${consumer.group}'.`;
  const details = found.length === 0 ? ['No link providers found'] : found.map((provider) => providerDetail(provider, consumer.network));
  return [`${heading} ${found.length > 1 ? 'Multiple link providers found:' : 'Details below:'}`, ...details.map((detail) => `    - ${detail}`)].join('\n');
}

function providerDetail(provider: RecordedProvider, network: string | undefined): string {
  const alias = provider.name === provider.originalName ? '' : `with alias '${provider.name}' `;
  const place = network === undefined ? '' : ` does not belong to network '${network}'`;
  return `Link provider '${provider.originalName}' ${alias}from job '${provider.job}' in instance group '${provider.group}' in deployment '${provider.deployment}'${place}`;
}

import { linkGroupName, type DnsIdentity } from '../dns/names';
import { isHash } from '../core/yaml';
import type { LinkProvider } from './link-intents';

/**
 * What DNS is to say of a deployment: of each instance beside its addresses, and the names that all providers of a link answer to.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/dns/{local_dns_records_repo,local_dns_aliases_repo}.rb.
 */

/** Another name for all providers of a link. */
export interface LinkAlias {
  domain: string;
  healthFilter: string | null;
  initialHealthCheck: string | null;
  placeholderType: string | null;
}

/** `aliases` of a provider in a manifest; undefined when they are no list of hashes with a `domain` and texts. */
export function parseAliases(value: unknown): LinkAlias[] | undefined {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) return undefined;
  const aliases = value.map((item: unknown): LinkAlias | undefined => {
    if (!isHash(item) || typeof item.domain !== 'string') return undefined;
    const texts = [item.health_filter, item.initial_health_check, item.placeholder_type].map((text) => text ?? null);
    if (!texts.every((text) => text === null || typeof text === 'string')) return undefined;
    const [healthFilter = null, initialHealthCheck = null, placeholderType = null] = texts;
    return { domain: item.domain, healthFilter, initialHealthCheck, placeholderType };
  });
  const right = aliases.filter((alias) => alias !== undefined);
  return right.length === aliases.length ? right : undefined;
}

/** An alias with the group that it stands for. */
export interface PlannedAlias extends LinkAlias {
  linkGroup: string;
}

export function plannedAliases(providers: readonly LinkProvider[]): PlannedAlias[] {
  return providers.flatMap((provider) => (parseAliases(provider.aliases) ?? []).map((alias) => ({ ...alias, linkGroup: linkGroupName(provider) })));
}

/** What the records of an instance say beside its addresses. */
export function dnsIdentity(instance: { group: string; az: string | null }, providers: readonly LinkProvider[]): DnsIdentity {
  const links = providers.filter(({ group }) => group === instance.group).map(linkGroupName);
  return { group: instance.group, az: instance.az, links: [...new Set(links)].toSorted() };
}

/** Why the records of an instance change; empty when they do not. `present`: as of its last update */
export function dnsReasons(present: DnsIdentity, wanted: DnsIdentity): string[] {
  return [
    ...(present.group === wanted.group ? [] : [`DNS name of instance group ${present.group} → ${wanted.group}`]),
    ...(present.az === wanted.az ? [] : [`AZ in DNS ${present.az ?? 'none'} → ${wanted.az ?? 'none'}`]),
    ...wanted.links.filter((link) => !present.links.includes(link)).map((link) => `DNS group of link ${link} is added`),
    ...present.links.filter((link) => !wanted.links.includes(link)).map((link) => `DNS group of link ${link} is removed`),
  ];
}

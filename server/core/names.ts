import { DirectorError } from './errors';

/** What BOSH accepts as a name of a deployment, release, job or package, and as their versions. */
export const namePattern = /^[-0-9A-Za-z_+.]+$/;

/**
 * A name as it appears in DNS: lower case, `_` as `-`, everything else outside `[a-z0-9-]` dropped.
 * Throws 420001 when the result starts or ends with a hyphen.
 * Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/dns/canonicalizer.rb.
 */
export function canonicalName(name: string): string {
  const canonical = name.toLowerCase().replaceAll('_', '-').replace(/[^a-z0-9-]/g, '');
  if (canonical.startsWith('-')) throw new DirectorError(420001, `Invalid DNS canonical name '${canonical}', cannot start with a hyphen`);
  if (canonical.endsWith('-')) throw new DirectorError(420001, `Invalid DNS canonical name '${canonical}', cannot end with a hyphen`);
  return canonical;
}

/**
 * The DNS name of an instance in one network: `<host>.<group>.<network>.<deployment>.<domain>`, `host` being its UUID or its index.
 * Throws 420001 for what DNS cannot express. Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/dns/dns_name_generator.rb.
 */
export function instanceDnsName(host: string, at: { group: string; network: string; deployment: string; domain: string }): string {
  return [host, canonicalName(at.group), canonicalName(at.network), canonicalName(at.deployment), at.domain].join('.');
}

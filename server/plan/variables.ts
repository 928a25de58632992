import { code, DirectorError } from '../core/errors';
import { encodeQuery, linkGroupName, wildcardOf } from '../dns/names';
import type { VariableDefinition, VariableLink } from '../variables/definitions';
import { absoluteName } from '../variables/placeholders';
import type { LinkProvider } from './link-intents';
import type { LinkFacts } from './links';
import type { PlannedVariable } from './variable-types';

/** What decides how variables are generated. */
export interface VariableFacts {
  /** Name of the director. */
  director: string;
  providers: readonly LinkProvider[];
  facts: LinkFacts;
  /** New versions where options changed, for variables that do not say it themselves. */
  converge: boolean;
}

/**
 * The variables that a deploy generates, with the addresses of the links that they consume. Throws one error with every link that cannot
 * be resolved. Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/config_server/client.rb and links/links_parser.rb.
 */
export function planVariables(definitions: readonly VariableDefinition[], { director, providers, facts, converge }: VariableFacts): PlannedVariable[] {
  const errors: string[] = [];
  const planned = definitions.map((definition): PlannedVariable => {
    const { name, type, options, updateMode, strategy, consumes } = definition;
    const addresses = consumes.flatMap((link) => {
      const address = addressOf(link, providers, facts);
      if (address !== undefined) return [{ as: link.as, address }];
      errors.push(linkError({ variable: name, link, deployment: facts.naming.deployment }, candidates(link, providers)));
      return [];
    });
    return { name: absoluteName(name, { director, deployment: facts.naming.deployment }), type, options, mode: updateMode ?? (converge ? 'converge' : 'no-overwrite'), strategy, addresses };
  });
  if (errors.length > 0) throw new DirectorError(code.generic, `Failed to resolve links from deployment '${facts.naming.deployment}'. See errors below:\n  - ${errors.join('\n  - ')}`);
  return planned;
}

function candidates(link: VariableLink, providers: readonly LinkProvider[]): LinkProvider[] {
  return providers.filter((provider) => provider.type === link.linkType && provider.consumable && provider.name === link.from);
}

/** The DNS name of all instances of the provider's group. */
function addressOf(link: VariableLink, providers: readonly LinkProvider[], { groups, naming }: LinkFacts): string | undefined {
  const [provider, ...others] = candidates(link, providers);
  const group = provider && groups.find(({ name }) => name === provider.group);
  if (!group || others.length > 0) return undefined;
  const { deployment, domain, ids, useLinkDnsNames, useShortDnsAddresses } = naming;
  const named = useLinkDnsNames ? { kind: 'link' as const, name: linkGroupName(provider), deployment } : { kind: 'instance-group' as const, name: group.name, deployment };
  const name = encodeQuery({ group: named, network: group.defaultNetwork, domain, short: useShortDnsAddresses || useLinkDnsNames }, ids);
  return link.wildcard ? wildcardOf(name) : name;
}

function linkError({ variable, link, deployment }: { variable: string; link: VariableLink; deployment: string }, found: readonly LinkProvider[]): string {
  const alias = link.from === link.as ? '' : `alias '${link.from}' and `;
  const heading = `Failed to resolve link '${link.as}' with ${alias}type '${link.linkType}' from variable '${variable}'. ${found.length > 1 ? 'Multiple link providers found:' : 'Details below:'}`;
  const details = found.length === 0 ? ['No link providers found'] : found.map(({ originalName, job, group }) => `Link provider '${originalName}' from job '${job}' in instance group '${group}' in deployment '${deployment}'`);
  return [heading, ...details.map((detail) => `    - ${detail}`)].join('\n');
}

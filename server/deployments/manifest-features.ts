import { DirectorError } from '../core/errors';
import { optionalField, rubyClass } from '../core/fields';
import type { Hash } from '../core/yaml';
import type { Features } from './manifest';

const booleanFeatures = ['use_dns_addresses', 'use_link_dns_names', 'use_short_dns_addresses', 'randomize_az_placement', 'converge_variables', 'use_tmpfs_config'] as const;

/**
 * The `features` block of a manifest. Names of links bring DNS addresses and short names with them. Throws 560001 for what is no
 * boolean, 210001 where one of these is switched off beside names of links.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/deployment_features_parser.rb.
 */
export function parseFeatures(document: Hash): Features {
  const features = optionalField(document, 'features', 'Hash') ?? {};
  const flag = (key: (typeof booleanFeatures)[number]): boolean | undefined => {
    if (!(key in features)) return undefined;
    const value = features[key];
    if (typeof value === 'boolean') return value;
    throw new DirectorError(560001, `Key '${key}' in 'features' expected to be a boolean, but received '${rubyClass(value)}'`);
  };
  for (const key of booleanFeatures) flag(key);
  const useLinkDnsNames = flag('use_link_dns_names');
  if (useLinkDnsNames === true) {
    const disabled = (['use_short_dns_addresses', 'use_dns_addresses'] as const).find((key) => flag(key) === false);
    if (disabled !== undefined) throw new DirectorError(210001, `cannot enable \`use_link_dns_names\` when \`${disabled}\` is explicitly disabled`);
  }
  return {
    useTmpfsConfig: flag('use_tmpfs_config'),
    useLinkDnsNames: useLinkDnsNames ?? false,
    useDnsAddresses: flag('use_dns_addresses') ?? useLinkDnsNames,
    useShortDnsAddresses: flag('use_short_dns_addresses') ?? useLinkDnsNames ?? false,
    randomizeAzPlacement: flag('randomize_az_placement') ?? false,
    convergeVariables: flag('converge_variables') ?? false,
  };
}

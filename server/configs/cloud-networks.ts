import { DirectorError } from '../core/errors';
import { optionalField, requiredField } from '../core/fields';
import { bitsOf } from '../core/ip';
import { isHash } from '../core/yaml';
import type { Az, DynamicNetwork, DynamicSubnet, VipNetwork, VipSubnet } from './cloud-config';
import { hasKey, parseNameServers, parseSubnetAzs, rangesOf, type SubnetContext } from './network-fields';

/**
 * Networks whose addresses the cloud decides, or leads to a VM.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/dynamic_network.rb, vip_network.rb and vip_network_subnet.rb.
 */

/** One dynamic network, in either form: `dns` and `cloud_properties` for the whole of it, or for each of its `subnets`. */
export function parseDynamicNetwork(spec: unknown, azs: readonly Az[]): DynamicNetwork {
  const name = requiredField(spec, 'name', 'String');
  for (const key of ['az', 'azs', 'managed', 'prefix']) {
    if (hasKey(spec, key)) throw new DirectorError(160008, `Network '${name}' must not specify '${key}'.`);
  }
  if (!hasKey(spec, 'subnets')) return { name, type: 'dynamic', subnets: [dynamicSubnet(spec, { network: name, azs }, null)] };
  for (const key of ['dns', 'cloud_properties']) {
    if (hasKey(spec, key)) throw new DirectorError(160008, `Network '${name}' must not specify '${key}' when also specifying 'subnets'. Instead, '${key}' should be specified on subnet entries.`);
  }
  const subnets = requiredField(spec, 'subnets', 'Array').map((item) => {
    const prefix = optionalField(item, 'prefix', 'Integer');
    if (prefix !== undefined && prefix !== 32) throw new DirectorError(160008, 'Prefix property is not supported for dynamic networks.');
    return dynamicSubnet(item, { network: name, azs }, parseSubnetAzs(item, { network: name, azs }));
  });
  if (subnets.length === 0) throw new DirectorError(160008, `Network '${name}' has an empty 'subnets' array: give it a subnet, or take 'subnets' away`);
  return { name, type: 'dynamic', subnets };
}

function dynamicSubnet(spec: unknown, { network }: SubnetContext, azs: string[] | null): DynamicSubnet {
  const dns = parseNameServers(spec, network);
  return { azs, cloudProperties: optionalField(spec, 'cloud_properties', 'Hash') ?? {}, ...(dns ? { dns } : {}) };
}

/** One VIP network; with `subnets` the director allots from their static addresses. */
export function parseVipNetwork(spec: unknown, azs: readonly Az[]): VipNetwork {
  const name = requiredField(spec, 'name', 'String');
  const items = optionalField(spec, 'subnets', 'Array') ?? [];
  const subnets = items.map((item): VipSubnet => {
    optionalField(item, 'static', 'Array');
    return { static: rangesOf(item, 'static').map(({ version, first, last }) => ({ version, first, last })), azs: parseSubnetAzs(item, { network: name, azs }) };
  });
  return { name, type: 'vip', cloudProperties: optionalField(spec, 'cloud_properties', 'Hash') ?? {}, subnets, prefix: items.length > 0 ? vipPrefix(items[0], name, subnets[0]) : null };
}

function vipPrefix(spec: unknown, network: string, subnet: VipSubnet | undefined): number | null {
  const given = isHash(spec) ? spec.prefix : undefined;
  if (given === undefined || given === null) return null;
  const prefix = typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : optionalField(spec, 'prefix', 'Integer');
  const bits = bitsOf(subnet?.static[0]?.version ?? 4);
  if (prefix !== undefined && prefix >= 0 && prefix <= bits) return prefix;
  throw new DirectorError(160008, `Prefix '${String(prefix)}' of network '${network}' is no prefix of its addresses`);
}

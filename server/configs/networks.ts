import { code, DirectorError } from '../core/errors';
import { optionalField, requiredField } from '../core/fields';
import { bitsOf, blockAt, blockSize, contains, formatAddress, formatBlock, formatNetmask, overlaps, parseBlock, type AddressRange, type Block } from '../core/ip';
import { isHash, type Hash } from '../core/yaml';
import type { Az, ManualNetwork, Subnet } from './cloud-config';
import { parseNameServers, parseSubnetAzs, rangesOf, requiredBlock, type SubnetContext } from './network-fields';

/**
 * Manual networks of a cloud config.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/manual_network.rb and manual_network_subnet.rb.
 */

/** What the director is and knows, as far as networks depend on it. */
export interface NetworkFacts {
  /** Addresses of the director's nodes: nobody gets them. */
  ownAddresses: readonly string[];
  /** A manual network may lack a gateway. */
  ignoreMissingGateway?: boolean | undefined;
  /** Subnets of managed networks that were made through CPIs; undefined: the director does not manage networks, and `managed` says nothing. */
  managedSubnets?: readonly ManagedSubnet[] | undefined;
}

/** A subnet as the CPI made it. */
export interface ManagedSubnet {
  network: string;
  name: string;
  range: string;
  gateway: string | null;
  /** Addresses, blocks or `first-last`. */
  reserved: readonly string[];
  cloudProperties: Hash;
}

interface ManualContext extends SubnetContext {
  facts: NetworkFacts;
  managed: boolean;
}

/** One manual network with its subnets; errors carry BOSH's codes. */
export function parseManualNetwork(spec: unknown, azs: readonly Az[], facts: NetworkFacts): ManualNetwork {
  const name = requiredField(spec, 'name', 'String');
  const managed = facts.managedSubnets !== undefined && isHash(spec) && spec.managed !== undefined && spec.managed !== null && spec.managed !== false;
  const subnets = requiredField(spec, 'subnets', 'Array').map((item) => parseSubnet(item, { network: name, azs, facts, managed }));
  if (managed) checkSubnetNames(name, subnets);
  checkTogether(name, subnets);
  return { name, type: 'manual', managed, subnets: subnets.map(({ subnet }) => subnet), prefix: subnets[0]?.prefix ?? 32 };
}

interface ParsedSubnet {
  subnet: Subnet;
  /** Undefined while the CPI has not chosen it. */
  range: Block | undefined;
  prefix: number;
}

function checkTogether(network: string, subnets: readonly ParsedSubnet[]): void {
  subnets.forEach((later, i) => {
    for (const earlier of subnets.slice(0, i)) {
      if (!later.range || !earlier.range) continue;
      if (later.range.version === earlier.range.version && overlaps(later.range, earlier.range)) {
        throw new DirectorError(160001, `Network '${network}' has overlapping subnets`);
      }
      if (later.prefix !== earlier.prefix) throw new DirectorError(16014, `Network '${network}' has subnets that define different prefixes`);
    }
  });
  const withAzs = subnets.filter(({ subnet }) => subnet.azs !== null);
  if (withAzs.length > 0 && withAzs.length < subnets.length) {
    throw new DirectorError(140016, `Subnets on network '${network}' must all either specify availability zone or not`);
  }
}

function checkSubnetNames(network: string, subnets: readonly ParsedSubnet[]): void {
  const names = subnets.map(({ subnet }) => subnet.name);
  if (new Set(names).size < names.length) throw new DirectorError(code.generic, `subnet names within a managed network must be unique (network '${network}')`);
}

function parseSubnet(spec: unknown, context: ManualContext): ParsedSubnet {
  const { managed, facts } = context;
  const name = managed ? requiredField(spec, 'name', 'String') : undefined;
  const rangeText = (managed ? optionalField : requiredField)(spec, 'range', 'String');
  const gatewayText = (managed || facts.ignoreMissingGateway ? optionalField : requiredField)(spec, 'gateway', 'String');
  const made = managed ? facts.managedSubnets?.find((subnet) => subnet.network === context.network && subnet.name === name) : undefined;
  const place = made
    ? { rangeText: made.range, gatewayText: made.gateway ?? undefined, reserved: [...rangesOf(spec, 'reserved'), ...rangesOf(made, 'reserved')] }
    : { rangeText, gatewayText, reserved: rangesOf(spec, 'reserved') };
  const common = {
    ...(name === undefined ? {} : { name }),
    dns: parseNameServers(spec, context.network),
    azs: parseSubnetAzs(spec, context),
    ...netmaskBits(spec),
    cloudProperties: made?.cloudProperties ?? optionalField(spec, 'cloud_properties', 'Hash') ?? {},
  };
  if (place.rangeText === undefined) return { range: undefined, prefix: 32, subnet: { range: '', version: 4, netmask: '', restricted: [], static: [], ...common } };
  const range = requiredBlock(place.rangeText);
  if (range.first === range.last) throw new DirectorError(160002, `Invalid network range '${place.rangeText}', should include at least 2 IPs`);
  const gateway = place.gatewayText === undefined ? undefined : parseGateway(place.gatewayText, range, context.network);
  const restricted = restrictedRanges(place.reserved, { range, gateway }, context);
  const fixed = staticRanges(spec, { range, restricted }, context);
  const prefix = parsePrefix(spec, range);
  const subnet: Subnet = {
    range: formatBlock(range),
    version: range.version,
    ...(gateway === undefined ? {} : { gateway: formatAddress(gateway, range.version) }),
    netmask: formatNetmask(range.prefix, range.version),
    restricted,
    static: fixed.flatMap((one) => wholeBlocks(one, prefix, range.version)),
    ...common,
  };
  return { subnet, range, prefix };
}

function netmaskBits(spec: unknown): { netmaskBits?: number } {
  const bits = optionalField(spec, 'netmask_bits', 'Integer');
  return bits === undefined ? {} : { netmaskBits: bits };
}

function parseGateway(text: string, range: Block, network: string): bigint {
  const invalid = (reason: string) => new DirectorError(160003, `Invalid gateway for network '${network}': ${reason}`);
  const gateway = requiredBlock(text);
  if (gateway.first !== gateway.last) throw invalid('must be a single IP');
  if (gateway.version !== range.version || !contains(range, gateway)) throw invalid('must be inside the range');
  if (gateway.first === range.first) throw invalid("can't be the network id");
  if (gateway.first === range.last) throw invalid("can't be the broadcast IP");
  return gateway.first;
}

function restrictedRanges(reservedRanges: ReturnType<typeof rangesOf>, subnet: { range: Block; gateway: bigint | undefined }, context: ManualContext): AddressRange[] {
  const { range, gateway } = subnet;
  const reserved = reservedRanges.map((reservedRange) => {
    if (reservedRange.version !== range.version || !contains(range, reservedRange)) {
      throw new DirectorError(160005, `Reserved IP '${reservedRange.text}' is out of network '${context.network}' range`);
    }
    return { first: reservedRange.first, last: reservedRange.last };
  });
  const own = context.facts.ownAddresses.flatMap((text) => {
    const block = parseBlock(text);
    if (!block || block.version !== range.version || !overlaps(range, block)) return [];
    return [{ first: block.first > range.first ? block.first : range.first, last: block.last < range.last ? block.last : range.last }];
  });
  return [...(gateway === undefined ? [] : [single(gateway)]), single(range.first), single(range.last), ...reserved, ...own];
}

function staticRanges(spec: unknown, subnet: { range: Block; restricted: readonly AddressRange[] }, context: ManualContext): AddressRange[] {
  return rangesOf(spec, 'static').map((range) => {
    if (subnet.restricted.some((restricted) => range.version === subnet.range.version && overlaps(restricted, range))) {
      throw new DirectorError(160006, `Static IP '${range.text}' is in network '${context.network}' reserved range`);
    }
    if (range.version !== subnet.range.version || !contains(subnet.range, range)) {
      throw new DirectorError(160006, `Static IP '${range.text}' is out of network '${context.network}' range`);
    }
    return { first: range.first, last: range.last };
  });
}

function parsePrefix(spec: unknown, range: Block): number {
  const bits = bitsOf(range.version);
  const given = isHash(spec) ? spec.prefix : undefined;
  if (given === undefined || given === null) return bits;
  const prefix = typeof given === 'string' && /^\d+$/.test(given) ? Number(given) : optionalField(spec, 'prefix', 'Integer');
  if (prefix === undefined || prefix < range.prefix) throw new DirectorError(16013, `Prefix size '${String(prefix)}' is larger than range prefix '${range.prefix}'`);
  if (prefix > bits) throw new DirectorError(160002, `Prefix size '${prefix}' is longer than an address of '${formatBlock(range)}'`);
  return prefix;
}

/** The blocks whose lowest address lies in a static range: only such an address can be asked for. None: the range names no block. */
function wholeBlocks(range: AddressRange, prefix: number, version: 4 | 6): AddressRange[] {
  const size = blockSize(prefix, version);
  const first = blockAt(range.first + size - 1n, prefix, version).first;
  return first > range.last ? [] : [{ first, last: blockAt(range.last, prefix, version).last }];
}

function single(address: bigint): AddressRange {
  return { first: address, last: address };
}

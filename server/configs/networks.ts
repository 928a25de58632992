import { DirectorError, notSupported } from '../core/errors';
import { optionalField, requiredField, rubyInspect } from '../core/fields';
import { bitsOf, blockAt, blockSize, contains, formatAddress, formatBlock, formatNetmask, overlaps, parseBlock, parseRange, type AddressRange, type Block } from '../core/ip';
import { isHash } from '../core/yaml';
import type { Az, Network, Subnet } from './cloud-config';

/**
 * Manual networks of a cloud config.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/manual_network.rb and manual_network_subnet.rb.
 */

interface SubnetContext {
  network: string;
  azs: readonly Az[];
  ownAddresses: readonly string[];
}

/** One manual network with its subnets; errors carry BOSH's codes. */
export function parseManualNetwork(spec: unknown, azs: readonly Az[], ownAddresses: readonly string[]): Network {
  const name = requiredField(spec, 'name', 'String');
  if (isHash(spec) && spec.managed === true) throw notSupported(`'managed' of network '${name}'`);
  const subnets = requiredField(spec, 'subnets', 'Array').map((item) => parseSubnet(item, { network: name, azs, ownAddresses }));
  checkTogether(name, subnets);
  return { name, type: 'manual', subnets: subnets.map(({ subnet }) => subnet), prefix: subnets[0]?.prefix ?? 32 };
}

interface ParsedSubnet {
  subnet: Subnet;
  range: Block;
  prefix: number;
}

function checkTogether(network: string, subnets: readonly ParsedSubnet[]): void {
  subnets.forEach((later, i) => {
    for (const earlier of subnets.slice(0, i)) {
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

function parseSubnet(spec: unknown, context: SubnetContext): ParsedSubnet {
  const rangeText = requiredField(spec, 'range', 'String');
  const gatewayText = requiredField(spec, 'gateway', 'String');
  const range = blockOf(rangeText);
  if (range.first === range.last) throw new DirectorError(160002, `Invalid network range '${rangeText}', should include at least 2 IPs`);
  const gateway = parseGateway(gatewayText, range, context.network);
  const restricted = restrictedRanges(spec, { range, gateway }, context);
  const fixed = staticRanges(spec, { range, restricted }, context);
  const prefix = parsePrefix(spec, range);
  const subnet: Subnet = {
    range: formatBlock(range),
    version: range.version,
    gateway: formatAddress(gateway, range.version),
    netmask: formatNetmask(range.prefix, range.version),
    dns: parseNameServers(spec, context.network),
    azs: parseAzs(spec, context),
    restricted,
    static: fixed,
    cloudProperties: optionalField(spec, 'cloud_properties', 'Hash') ?? {},
  };
  checkStaticBlocks(subnet, prefix);
  return { subnet, range, prefix };
}

function blockOf(text: string): Block {
  const block = parseBlock(text);
  if (!block) throw new DirectorError(160010, `Invalid IP or CIDR format: ${text}`);
  return block;
}

function parseGateway(text: string, range: Block, network: string): bigint {
  const invalid = (reason: string) => new DirectorError(160003, `Invalid gateway for network '${network}': ${reason}`);
  const gateway = blockOf(text);
  if (gateway.first !== gateway.last) throw invalid('must be a single IP');
  if (gateway.version !== range.version || !contains(range, gateway)) throw invalid('must be inside the range');
  if (gateway.first === range.first) throw invalid("can't be the network id");
  if (gateway.first === range.last) throw invalid("can't be the broadcast IP");
  return gateway.first;
}

function restrictedRanges(spec: unknown, subnet: { range: Block; gateway: bigint }, context: SubnetContext): AddressRange[] {
  const { range, gateway } = subnet;
  const reserved = rangesOf(spec, 'reserved').map((reservedRange) => {
    if (reservedRange.version !== range.version || !contains(range, reservedRange)) {
      throw new DirectorError(160005, `Reserved IP '${reservedRange.text}' is out of network '${context.network}' range`);
    }
    return { first: reservedRange.first, last: reservedRange.last };
  });
  const own = context.ownAddresses.flatMap((text) => {
    const block = parseBlock(text);
    return block && block.version === range.version && contains(range, block) ? [{ first: block.first, last: block.last }] : [];
  });
  return [single(gateway), single(range.first), single(range.last), ...reserved, ...own];
}

function staticRanges(spec: unknown, subnet: { range: Block; restricted: readonly AddressRange[] }, context: SubnetContext): AddressRange[] {
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

/** With blocks instead of single addresses, static ranges must begin where a block begins. */
function checkStaticBlocks(subnet: Subnet, prefix: number): void {
  if (blockSize(prefix, subnet.version) === 1n) return;
  for (const range of subnet.static) {
    if (blockAt(range.first, prefix, subnet.version).first !== range.first) {
      throw new DirectorError(16015, `Static IP '${formatAddress(range.first, subnet.version)}' is not the base address of a block of prefix ${prefix}`);
    }
  }
}

function parseNameServers(spec: unknown, network: string): string[] | undefined {
  return optionalField(spec, 'dns', 'Array')?.map((item) => {
    const block = blockOf(typeof item === 'string' ? item : rubyInspect(item));
    if (block.first !== block.last) throw new DirectorError(160004, `Invalid DNS for network '${network}': must be a single IP`);
    return formatAddress(block.first, block.version);
  });
}

function parseAzs(spec: unknown, context: SubnetContext): string[] | null {
  const { network, azs } = context;
  const has = (key: string) => isHash(spec) && Object.hasOwn(spec, key);
  if (has('az') && has('azs')) throw new DirectorError(160008, `Network '${network}' contains both 'az' and 'azs'. Choose one.`);
  const list = optionalField(spec, 'azs', 'Array');
  if (list?.length === 0) throw new DirectorError(160008, `Network '${network}' refers to an empty 'azs' array`);
  const one = optionalField(spec, 'az', 'String');
  const names = list ?? (one === undefined ? [] : [one]);
  const unknown = names.find((name) => !azs.some((az) => az.name === name));
  if (unknown !== undefined) throw new DirectorError(160007, `Network '${network}' refers to an unknown availability zone '${typeof unknown === 'string' ? unknown : rubyInspect(unknown)}'`);
  return names.length === 0 ? null : names.filter((name) => typeof name === 'string');
}

/** The ranges of a key that is a text or a list of texts. */
function rangesOf(spec: unknown, key: string): (AddressRange & { version: 4 | 6; text: string })[] {
  const value = isHash(spec) ? spec[key] : undefined;
  return [value].flat(2).flatMap((item) => {
    if (item === null || item === undefined) return [];
    const text = typeof item === 'string' ? item : rubyInspect(item);
    const range = parseRange(text);
    if (!range) throw new DirectorError(160010, `Invalid IP range format: ${text}`);
    if (range.first > range.last) return [];
    return [{ ...range, text }];
  });
}

function single(address: bigint): AddressRange {
  return { first: address, last: address };
}

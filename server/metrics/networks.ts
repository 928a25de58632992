import { canonicalName } from '../core/names';
import { parseBlock, type AddressRange } from '../core/ip';
import { isHash, type Hash } from '../core/yaml';
import type { Az, ManualNetwork, Subnet } from '../configs/cloud-config';
import { parseManualNetwork } from '../configs/networks';
import { mergeCloudConfigs, parseConfigContent } from '../configs/parse';

/** A manual network and how many of its addresses the director may give out by itself. */
export interface DynamicNetwork {
  name: string;
  size: number;
}

/**
 * The manual networks of the cloud configs, in their order; those that cannot be understood are left out, so that one mistake in a
 * config does not cost the numbers of the others. `ownAddresses` are those of the director's nodes, which nobody gets.
 */
export function dynamicNetworks(contents: readonly string[], ownAddresses: readonly string[]): DynamicNetwork[] {
  const document = attempt(() => mergeCloudConfigs(contents.map(parseConfigContent)));
  const specs = document && Array.isArray(document.networks) ? document.networks : [];
  const azs = document ? azsOf(document) : [];
  const byLabel = new Map<string, DynamicNetwork>();
  for (const spec of specs) {
    if (!isHash(spec) || (spec.type ?? 'manual') !== 'manual') continue;
    const found = attempt(() => {
      const network = parseManualNetwork(spec, azs, { ownAddresses });
      return { label: canonicalName(network.name), network };
    });
    if (found && !byLabel.has(found.label)) byLabel.set(found.label, { name: found.network.name, size: dynamicSize(found.network) });
  }
  return [...byLabel.values()];
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

function azsOf(document: Hash): Az[] {
  const specs = Array.isArray(document.azs) ? document.azs : [];
  return specs.flatMap((spec) => (isHash(spec) && typeof spec.name === 'string' ? [{ name: spec.name, cloudProperties: {} }] : []));
}

/**
 * Addresses of all subnets without static, reserved and implicitly restricted ones. An address that is withheld twice, e.g. a gateway
 * inside a reserved range, counts once.
 */
function dynamicSize(network: ManualNetwork): number {
  return Number(network.subnets.reduce((sum, subnet) => sum + freeOf(subnet), 0n));
}

function freeOf(subnet: Subnet): bigint {
  const range = parseBlock(subnet.range);
  if (!range) return 0n;
  return size(range) - unionSize([...subnet.restricted, ...subnet.static]);
}

function unionSize(ranges: readonly AddressRange[]): bigint {
  let total = 0n;
  let end: bigint | undefined;
  for (const range of [...ranges].sort((a, b) => (a.first < b.first ? -1 : 1))) {
    const first = end !== undefined && end >= range.first ? end + 1n : range.first;
    if (first > range.last) continue;
    total += size({ first, last: range.last });
    end = range.last;
  }
  return total;
}

function size({ first, last }: AddressRange): bigint {
  return last - first + 1n;
}

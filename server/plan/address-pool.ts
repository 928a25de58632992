import type { ManualNetwork, Subnet, VipNetwork } from '../configs/cloud-config';
import { bitsOf, blockAt, contains, formatBlock, overlaps, parseBlock, type AddressRange, type Block } from '../core/ip';

/** The addresses of the whole director while a plan is made: what is given out once is not given out again. */
export interface AddressPool {
  /** The lowest free address (or block) of a network for an AZ; it is taken from then on. Undefined: none is left. */
  allot(network: ManualNetwork, az: string | null): { address: string; subnet: Subnet } | undefined;
  /** The first free address of those that a VIP network lists for an AZ. */
  allotVip(network: VipNetwork, az: string | null): string | undefined;
  /** Whether an address or block, and every part of it, is nobody's. */
  isFree(block: Block): boolean;
  /** Takes a named address; false when it, or a part of it, is taken already. */
  claim(block: Block): boolean;
}

/** @param takenAddresses CIDR texts of everything in use */
export function addressPool(takenAddresses: readonly string[]): AddressPool {
  const singles = { 4: new Set<bigint>(), 6: new Set<bigint>() };
  const blocks: Record<4 | 6, AddressRange[]> = { 4: [], 6: [] };
  const take = (block: Block) => {
    if (block.first === block.last) singles[block.version].add(block.first);
    else blocks[block.version].push({ first: block.first, last: block.last });
  };
  for (const text of takenAddresses) {
    const block = parseBlock(text);
    if (block) take(block);
  }
  // Within one plan nothing is given back, so a search goes on where the last one in the subnet ended.
  const resume = new Map<Subnet, bigint>();
  const isTaken = (block: Block) => {
    if (blocks[block.version].some((range) => overlaps(range, block))) return true;
    if (block.first === block.last) return singles[block.version].has(block.first);
    return [...singles[block.version]].some((address) => contains(block, { first: address, last: address }));
  };
  const allotIn = (subnet: Subnet, prefix: number): Block | undefined => {
    const range = parseBlock(subnet.range);
    if (!range) return undefined;
    const withheld = [...subnet.restricted, ...subnet.static].sort((a, b) => (a.first < b.first ? -1 : 1));
    let candidate = blockAt(resume.get(subnet) ?? range.first, prefix, range.version);
    while (candidate.last <= range.last) {
      const obstacle = withheld.find((held) => overlaps(held, candidate));
      if (!obstacle && !isTaken(candidate)) {
        take(candidate);
        resume.set(subnet, candidate.last + 1n);
        return candidate;
      }
      candidate = blockAt((obstacle ? maximum(obstacle.last, candidate.last) : candidate.last) + 1n, prefix, range.version);
    }
    resume.set(subnet, candidate.first);
    return undefined;
  };
  return {
    allot(network, az) {
      for (const subnet of network.subnets) {
        if (az !== null && !(subnet.azs ?? []).includes(az)) continue;
        const block = allotIn(subnet, network.prefix);
        if (block) return { address: formatBlock(block), subnet };
      }
      return undefined;
    },
    allotVip(network, az) {
      for (const subnet of network.subnets) {
        if (az !== null && !(subnet.azs ?? []).includes(az)) continue;
        for (const { version, first, last } of subnet.static) {
          for (let address = first; address <= last; address++) {
            const block = blockAt(address, bitsOf(version), version);
            if (isTaken(block)) continue;
            take(block);
            return formatBlock(block);
          }
        }
      }
      return undefined;
    },
    isFree: (block) => !isTaken(block),
    claim(block) {
      if (isTaken(block)) return false;
      take(block);
      return true;
    },
  };
}

function maximum(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

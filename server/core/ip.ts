/**
 * IPv4 and IPv6 addresses, CIDR blocks and ranges, as integers. Pure: nothing is resolved.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/ip_util.rb and ip_addr_or_cidr.rb.
 */

/** A block of addresses; a single address is a block of prefix 32 or 128. */
export interface Block {
  version: 4 | 6;
  /** The lowest address. */
  first: bigint;
  last: bigint;
  prefix: number;
}

/** Addresses from `first` to `last`, both included. */
export interface AddressRange {
  first: bigint;
  last: bigint;
}

/** Bits of an address. */
export function bitsOf(version: 4 | 6): 32 | 128 {
  return version === 4 ? 32 : 128;
}

/** The block that a text such as `10.0.0.5`, `10.0.0.0/24` or `fd00::/64` names; host bits are cleared. Undefined when it names none. */
export function parseBlock(text: string): Block | undefined {
  const [addressText, prefixText, ...more] = text.trim().split('/');
  if (addressText === undefined || more.length > 0) return undefined;
  const address = parseAddress(addressText);
  if (address === undefined) return undefined;
  const bits = bitsOf(address.version);
  const prefix = prefixText === undefined ? bits : parsePrefix(prefixText, address.version);
  if (prefix === undefined) return undefined;
  return blockAt(address.value, prefix, address.version);
}

/** The block of the given prefix that contains the address. */
export function blockAt(address: bigint, prefix: number, version: 4 | 6): Block {
  const size = 1n << BigInt(bitsOf(version) - prefix);
  const first = (address / size) * size;
  return { version, first, last: first + size - 1n, prefix };
}

/** Number of addresses in a block. */
export function blockSize(prefix: number, version: 4 | 6): bigint {
  return 1n << BigInt(bitsOf(version) - prefix);
}

/** `10.0.0.5/32`: how a block is recorded. */
export function formatBlock(block: Block): string {
  return `${formatAddress(block.first, block.version)}/${block.prefix}`;
}

/** `10.0.0.5` or `fd00::5` (RFC 5952). */
export function formatAddress(value: bigint, version: 4 | 6): string {
  if (version === 4) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => ((value >> BigInt(112 - 16 * i)) & 0xffffn).toString(16));
  return compressZeros(groups);
}

/** `255.255.255.0`; for IPv6 all eight groups of four digits, as Ruby's IPAddr prints it. */
export function formatNetmask(prefix: number, version: 4 | 6): string {
  const bits = bitsOf(version);
  const mask = ((1n << BigInt(prefix)) - 1n) << BigInt(bits - prefix);
  if (version === 4) return formatAddress(mask, 4);
  return Array.from({ length: 8 }, (_, i) => ((mask >> BigInt(112 - 16 * i)) & 0xffffn).toString(16).padStart(4, '0')).join(':');
}

/** The range of a text that is an address, a block or `first-last`. Undefined when it is none of these. */
export function parseRange(text: string): (AddressRange & { version: 4 | 6 }) | undefined {
  const [from, to, ...more] = text.split('-');
  if (from === undefined || more.length > 0) return undefined;
  const first = parseBlock(from);
  if (first === undefined) return undefined;
  if (to === undefined) return { version: first.version, first: first.first, last: first.last };
  const last = parseBlock(to);
  if (last === undefined || last.version !== first.version || first.first !== first.last || last.first !== last.last) return undefined;
  return { version: first.version, first: first.first, last: last.last };
}

export function contains(range: AddressRange, inner: AddressRange): boolean {
  return range.first <= inner.first && inner.last <= range.last;
}

export function overlaps(a: AddressRange, b: AddressRange): boolean {
  return a.first <= b.last && b.first <= a.last;
}

function parsePrefix(text: string, version: 4 | 6): number | undefined {
  if (/^\d{1,3}$/.test(text)) {
    const prefix = Number(text);
    return prefix <= bitsOf(version) ? prefix : undefined;
  }
  const mask = version === 4 ? parseAddress(text) : undefined;
  if (mask === undefined || mask.version !== 4) return undefined;
  const prefix = mask.value.toString(2).replace(/0+$/, '').length;
  return formatNetmask(mask.value === 0n ? 0 : prefix, 4) === text ? (mask.value === 0n ? 0 : prefix) : undefined;
}

function parseAddress(text: string): { value: bigint; version: 4 | 6 } | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

function parseIpv4(text: string): { value: bigint; version: 4 } | undefined {
  if (!/^\d{1,3}(\.\d{1,3}){3}$/.test(text)) return undefined;
  let value = 0n;
  for (const part of text.split('.')) {
    if (Number(part) > 255 || (part.length > 1 && part.startsWith('0'))) return undefined;
    value = value * 256n + BigInt(part);
  }
  return { value, version: 4 };
}

function parseIpv6(text: string): { value: bigint; version: 6 } | undefined {
  const embedded = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (embedded) {
    const v4 = parseIpv4(embedded[2] ?? '');
    if (v4 === undefined) return undefined;
    return parseIpv6(`${embedded[1]}${(v4.value >> 16n).toString(16)}:${(v4.value & 0xffffn).toString(16)}`);
  }
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const groupsOf = (half: string | undefined) => (half === undefined || half === '' ? [] : half.split(':'));
  const head = groupsOf(halves[0]);
  const tail = groupsOf(halves[1]);
  const missing = 8 - head.length - tail.length;
  if (halves.length === 2 ? missing < 1 : missing !== 0) return undefined;
  const groups = [...head, ...Array.from({ length: missing }, () => '0'), ...tail];
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return { value: groups.reduce((value, group) => value * 65536n + BigInt(`0x${group}`), 0n), version: 6 };
}

function compressZeros(groups: string[]): string {
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (groups[start + length] === '0') length++;
    if (length > best.length) best = { start, length };
  }
  if (best.start < 0) return groups.join(':');
  return `${groups.slice(0, best.start).join(':')}::${groups.slice(best.start + best.length).join(':')}`;
}

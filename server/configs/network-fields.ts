import { DirectorError } from '../core/errors';
import { optionalField, rubyInspect } from '../core/fields';
import { formatAddress, parseBlock, parseRange, type AddressRange, type Block } from '../core/ip';
import { isHash } from '../core/yaml';
import type { Az } from './cloud-config';

/** Fields that subnets of several network types have. Sources: see `networks.ts`. */

export interface SubnetContext {
  network: string;
  azs: readonly Az[];
}

/** Throws 160010 for what is no address or CIDR text. */
export function requiredBlock(text: string): Block {
  const block = parseBlock(text);
  if (!block) throw new DirectorError(160010, `Invalid IP or CIDR format: ${text}`);
  return block;
}

/** `dns`: single addresses, else 160004. */
export function parseNameServers(spec: unknown, network: string): string[] | undefined {
  return optionalField(spec, 'dns', 'Array')?.map((item) => {
    const block = requiredBlock(typeof item === 'string' ? item : rubyInspect(item));
    if (block.first !== block.last) throw new DirectorError(160004, `Invalid DNS for network '${network}': must be a single IP`);
    return formatAddress(block.first, block.version);
  });
}

/** `az` or `azs`; null when neither is there. */
export function parseSubnetAzs(spec: unknown, { network, azs }: SubnetContext): string[] | null {
  if (hasKey(spec, 'az') && hasKey(spec, 'azs')) throw new DirectorError(160008, `Network '${network}' contains both 'az' and 'azs'. Choose one.`);
  const list = optionalField(spec, 'azs', 'Array');
  if (list?.length === 0) throw new DirectorError(160008, `Network '${network}' refers to an empty 'azs' array`);
  const one = optionalField(spec, 'az', 'String');
  const names = list ?? (one === undefined ? [] : [one]);
  const unknown = names.find((name) => !azs.some((az) => az.name === name));
  if (unknown !== undefined) throw new DirectorError(160007, `Network '${network}' refers to an unknown availability zone '${typeof unknown === 'string' ? unknown : rubyInspect(unknown)}'`);
  return names.length === 0 ? null : names.filter((name) => typeof name === 'string');
}

/** The ranges of a key that is a text or a list of texts. Throws 160010. */
export function rangesOf(spec: unknown, key: string): (AddressRange & { version: 4 | 6; text: string })[] {
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

export function hasKey(spec: unknown, key: string): boolean {
  return isHash(spec) && Object.hasOwn(spec, key);
}

import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod/mini';
import type { CpiConfig } from './config';
import { cloudError, CpiError } from './errors';
import { exists, isSafeName, listNames, readJson, withLock, writeJson } from './state';

/** Networks that the director makes through the CPI: a record each. Nothing is routed: every address of 127.0.0.0/8 is there already. */

export interface CreateNetworkInput {
  cloudProperties: Record<string, unknown>;
  range?: string | undefined;
  gateway?: string | undefined;
  /** Of the range that the cloud is to choose. */
  netmaskBits?: number | undefined;
}

const recordSchema = z.object({ cid: z.string(), range: z.string(), gateway: z.string(), cloud_properties: z.record(z.string(), z.unknown()), created_at: z.string() });

const directoryOf = (stateDir: string) => join(stateDir, 'networks');
const pathOf = (stateDir: string, cid: string) => join(directoryOf(stateDir), cid);

/** Returns `[cid, {range, gateway, reserved}, cloud_properties]`. A range that is left to the cloud is one of 127.210.0.0/16 that no network has. */
export async function createNetwork(config: CpiConfig, input: CreateNetworkInput): Promise<[cid: string, addresses: { range: string; gateway: string; reserved: string[] }, cloudProperties: Record<string, unknown>]> {
  if (input.range === undefined && (input.netmaskBits === undefined || input.netmaskBits < 17 || input.netmaskBits > 29)) throw cloudError("A network needs 'range', or 'netmask_bits' from 17 to 29");
  return withLock(config.state_dir, { kind: 'network', name: 'all' }, () => {
    mkdirSync(directoryOf(config.state_dir), { recursive: true });
    const chosen = input.range === undefined ? chooseRange(config.state_dir, input.netmaskBits ?? 24) : { range: input.range, gateway: input.gateway ?? '', reserved: [] };
    const cid = `net-${randomUUID()}`;
    const cloudProperties = { ...input.cloudProperties, name: cid };
    writeJson(pathOf(config.state_dir, cid), { cid, range: chosen.range, gateway: chosen.gateway, cloud_properties: cloudProperties, created_at: new Date().toISOString() });
    return [cid, chosen, cloudProperties];
  });
}

function chooseRange(stateDir: string, bits: number): { range: string; gateway: string; reserved: string[] } {
  const taken = new Set(listNames(directoryOf(stateDir)).flatMap((cid) => readJson(pathOf(stateDir, cid), recordSchema)?.range ?? []));
  const size = 2 ** (32 - bits);
  const base = 127 * 2 ** 24 + 210 * 2 ** 16;
  const start = createHash('sha1').update(randomUUID()).digest().readUInt16BE(0) % (65_536 / size);
  for (let i = 0; i < 65_536 / size; i++) {
    const first = base + ((start + i) % (65_536 / size)) * size;
    const range = `${dotted(first)}/${bits}`;
    if ([...taken].some((other) => overlap(other, { first, size }))) continue;
    return { range, gateway: dotted(first + 1), reserved: [dotted(first + 2)] };
  }
  throw cloudError('The local cloud has no range left');
}

function overlap(other: string, { first, size }: { first: number; size: number }): boolean {
  const [address = '', bits = '32'] = other.split('/');
  const otherFirst = address.split('.').reduce((value, part) => value * 256 + Number(part), 0);
  return otherFirst < first + size && first < otherFirst + 2 ** (32 - Number(bits));
}

function dotted(value: number): string {
  return [2 ** 24, 2 ** 16, 2 ** 8, 1].map((unit) => Math.floor(value / unit) % 256).join('.');
}

/** Throws NetworkNotFound. */
export async function deleteNetwork(config: CpiConfig, cid: string): Promise<void> {
  await withLock(config.state_dir, { kind: 'network', name: 'all' }, () => {
    if (!isSafeName(cid) || !exists(pathOf(config.state_dir, cid))) throw new CpiError('Bosh::Clouds::NetworkNotFound', `Network '${cid}' not found`);
    rmSync(pathOf(config.state_dir, cid));
  });
}

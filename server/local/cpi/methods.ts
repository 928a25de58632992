import * as z from 'zod/mini';
import type { CpiConfig } from './config';
import { CpiError } from './errors';
import { attachDisk, createDisk, deleteDisk, deleteSnapshot, detachDisk, getDisks, hasDisk, resizeDisk, setDiskMetadata, snapshotDisk, updateDisk } from './disks';
import { createNetwork, deleteNetwork } from './networks';
import { createStemcell, deleteStemcell } from './stemcells';
import { createVm, deleteVm, hasVm, rebootVm, setVmMetadata } from './vms';

/** The methods of the CPI contract, version 2 (https://bosh.io/docs/cpi-api-v2/): positional arguments in, a JSON value out. */

const text = z.string();
const properties = z.pipe(z.nullish(z.record(z.string(), z.unknown())), z.transform((value): Record<string, unknown> => value ?? {}));
const network = z.looseObject({ type: z.optional(z.string()), ip: z.nullish(z.string()) });
const networks = z.record(z.string(), z.pipe(network, z.transform((value) => ({ ...value, ip: value.ip ?? undefined }))));

const networkDefinition = z.object({ cloud_properties: properties, range: z.optional(z.string()), gateway: z.optional(z.string()), netmask_bits: z.optional(z.number()) });

/** Format that stemcells of this cloud declare in `stemcell_formats`. */
export const stemcellFormat = 'directorate-local';

type Method = (config: CpiConfig, args: unknown[]) => Promise<unknown>;

/** Wraps a typed function as a method: wrong arguments are a CloudError that names the position. */
function method<T extends readonly unknown[]>(schema: z.ZodMiniType<T>, run: (config: CpiConfig, args: T) => unknown): Method {
  return async (config, args) => {
    const parsed = z.safeParse(schema, args);
    if (parsed.success) return (await run(config, parsed.data)) ?? null;
    const issue = parsed.error.issues[0];
    throw new CpiError('Bosh::Clouds::CloudError', `Argument ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`);
  };
}

const methods: Record<string, Method> = {
  info: async () => ({ api_version: 2, stemcell_formats: [stemcellFormat] }),
  ping: async () => 'pong',
  create_stemcell: method(z.tuple([text, properties], z.unknown()), (config, [image, cloudProperties]) => createStemcell(config, image, cloudProperties)),
  delete_stemcell: method(z.tuple([text], z.unknown()), (config, [cid]) => deleteStemcell(config, cid)),
  create_vm: method(z.tuple([text, text, properties, networks, z.unknown(), properties], z.unknown()), (config, [agentId, stemcellCid, cloudProperties, nets, , env]) =>
    createVm(config, { agentId, stemcellCid, cloudProperties, networks: nets, env }),
  ),
  delete_vm: method(z.tuple([text], z.unknown()), (config, [cid]) => deleteVm(config, cid)),
  has_vm: method(z.tuple([text], z.unknown()), (config, [cid]) => hasVm(config, cid)),
  reboot_vm: method(z.tuple([text], z.unknown()), (config, [cid]) => rebootVm(config, cid)),
  set_vm_metadata: method(z.tuple([text, properties], z.unknown()), (config, [cid, metadata]) => setVmMetadata(config, cid, metadata)),
  calculate_vm_cloud_properties: method(
    z.tuple([z.object({ cpu: z.number(), ram: z.number(), ephemeral_disk_size: z.number() })], z.unknown()),
    (_config, [need]) => ({ instance_type: 'local', cpu: need.cpu, ram: need.ram, ephemeral_disk: { size: need.ephemeral_disk_size } }),
  ),
  create_disk: method(z.tuple([z.number(), properties], z.unknown()), (config, [sizeMb, cloudProperties]) => createDisk(config, { sizeMb, cloudProperties })),
  delete_disk: method(z.tuple([text], z.unknown()), (config, [cid]) => deleteDisk(config, cid)),
  has_disk: method(z.tuple([text], z.unknown()), (config, [cid]) => hasDisk(config, cid)),
  attach_disk: method(z.tuple([text, text], z.unknown()), (config, [vmCid, diskCid]) => attachDisk(config, vmCid, diskCid)),
  detach_disk: method(z.tuple([text, text], z.unknown()), (config, [vmCid, diskCid]) => detachDisk(config, vmCid, diskCid)),
  set_disk_metadata: method(z.tuple([text, properties], z.unknown()), (config, [cid, metadata]) => setDiskMetadata(config, cid, metadata)),
  resize_disk: method(z.tuple([text, z.number()], z.unknown()), (config, [cid, sizeMb]) => resizeDisk(config, cid, sizeMb)),
  update_disk: method(z.tuple([text, z.number(), properties], z.unknown()), (config, [cid, sizeMb, cloudProperties]) => updateDisk(config, cid, { sizeMb, cloudProperties })),
  snapshot_disk: method(z.tuple([text, properties], z.unknown()), (config, [cid, metadata]) => snapshotDisk(config, cid, metadata)),
  delete_snapshot: method(z.tuple([text], z.unknown()), (config, [cid]) => deleteSnapshot(config, cid)),
  create_network: method(z.tuple([networkDefinition], z.unknown()), (config, [{ cloud_properties: cloudProperties, range, gateway, netmask_bits: netmaskBits }]) => createNetwork(config, { cloudProperties, range, gateway, netmaskBits })),
  delete_network: method(z.tuple([text], z.unknown()), (config, [cid]) => deleteNetwork(config, cid)),
  get_disks: method(z.tuple([text], z.unknown()), (config, [cid]) => getDisks(config, cid)),
};

/** Runs a method; anything else of the contract (current_vm_id) is NotImplemented. */
export async function callMethod(config: CpiConfig, name: string, args: unknown[]): Promise<unknown> {
  const run = Object.hasOwn(methods, name) ? methods[name] : undefined;
  if (run === undefined) throw new CpiError('Bosh::Clouds::NotImplemented', `The local cloud does not implement '${name}'`);
  return run(config, args);
}

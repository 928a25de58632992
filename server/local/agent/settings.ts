import { z } from 'zod';

/** The settings of an agent and which of them win (cloudfoundry/bosh-agent settings/settings.go). */

const certSchema = z.object({ ca: z.string().default(''), certificate: z.string().default(''), private_key: z.string().default('') });
const mbusSchema = z.object({ urls: z.array(z.string()).nullish(), cert: certSchema.nullish() });
const blobstoreSchema = z.object({
  provider: z.string(),
  options: z
    .record(z.string(), z.unknown())
    .nullish()
    .transform((value) => value ?? {}),
});
const networkSchema = z.looseObject({ type: z.string().optional(), ip: z.string().nullish() });

export const bootSettingsSchema = z.looseObject({
  agent_id: z.string().min(1),
  vm: z.object({ name: z.string().default('') }).prefault({}),
  mbus: z.string().default(''),
  blobstore: blobstoreSchema.nullish(),
  disks: z
    .looseObject({
      persistent: z
        .record(z.string(), z.unknown())
        .nullish()
        .transform((value) => value ?? {}),
    })
    .prefault({}),
  networks: z.record(z.string(), networkSchema).default({}),
  env: z.looseObject({ bosh: z.looseObject({ mbus: mbusSchema.nullish(), blobstores: z.array(blobstoreSchema).nullish() }).nullish() }).prefault({}),
});
export type BootSettings = z.infer<typeof bootSettingsSchema>;

/** Argument of `update_settings`, and what is kept of it in `update_settings.json`. */
export const updateSettingsSchema = z.object({
  trusted_certs: z
    .string()
    .nullish()
    .transform((value) => value ?? ''),
  disk_associations: z
    .array(z.looseObject({ name: z.string(), cid: z.string() }))
    .nullish()
    .transform((value) => value ?? []),
  blobstores: z.array(blobstoreSchema).nullish(),
  mbus: mbusSchema.nullish(),
});
export type UpdateSettings = z.infer<typeof updateSettingsSchema>;

export type BlobstoreSettings = z.infer<typeof blobstoreSchema>;
export interface ConnectionSettings {
  urls: string[];
  cert: z.infer<typeof certSchema>;
}

/** Where to connect: `update_settings`, else the env, else `mbus`; URLs and certificate are decided apart. */
export function effectiveConnection(boot: BootSettings, update: UpdateSettings | undefined): ConnectionSettings {
  const env = boot.env.bosh?.mbus;
  const urls = firstFilled(update?.mbus?.urls, env?.urls) ?? (boot.mbus === '' ? [] : [boot.mbus]);
  const updated = update?.mbus?.cert;
  const cert = updated !== null && updated !== undefined && updated.ca !== '' ? updated : env?.cert;
  if (urls.length === 0) throw new Error('The settings name no NATS server: mbus, env.bosh.mbus.urls and update_settings.mbus.urls are empty');
  if (cert === null || cert === undefined || cert.certificate === '' || cert.private_key === '') throw new Error('The settings have no client certificate for NATS: env.bosh.mbus.cert is empty');
  return { urls, cert };
}

/** Which blobstore: `update_settings`, else the env, else the one that the CPI configured. */
export function effectiveBlobstore(boot: BootSettings, update: UpdateSettings | undefined): BlobstoreSettings {
  const blobstore = firstFilled(update?.blobstores, boot.env.bosh?.blobstores)?.[0] ?? boot.blobstore;
  if (blobstore === null || blobstore === undefined) throw new Error('The settings name no blobstore');
  return blobstore;
}

/** What is stored after an `update_settings`: certificates and disks are replaced, the bus and blobstores only when given. */
export function mergeUpdate(stored: UpdateSettings | undefined, update: UpdateSettings): UpdateSettings {
  const mbus = isFilledMbus(update.mbus) ? update.mbus : stored?.mbus;
  return { trusted_certs: update.trusted_certs, disk_associations: update.disk_associations, blobstores: update.blobstores ?? stored?.blobstores ?? null, mbus: mbus ?? null };
}

function isFilledMbus(mbus: UpdateSettings['mbus']): boolean {
  return mbus !== null && mbus !== undefined && ((mbus.urls?.length ?? 0) > 0 || (mbus.cert?.ca ?? '') !== '');
}

function firstFilled<T>(...lists: (T[] | null | undefined)[]): T[] | undefined {
  return lists.find((list): list is T[] => list !== null && list !== undefined && list.length > 0);
}

import { z } from 'zod';

/** The apply spec that the director sends (cloudfoundry/bosh-agent agent/applier/applyspec/v1_apply_spec.go). */

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
const headers = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? null);

export const packageSchema = z.object({
  name: z.string().min(1),
  version: z.string().min(1, 'a package must have a version'),
  sha1: text,
  blobstore_id: text,
  signed_url: text,
  blobstore_headers: headers,
});
export type PackageSpec = z.infer<typeof packageSchema>;

const jobSchema = z.object({
  name: text,
  release: text,
  template: text,
  version: text,
  templates: z
    .array(z.object({ name: z.string().min(1), version: text }))
    .nullish()
    .transform((value) => value ?? null),
});

export const applySpecSchema = z.object({
  properties: z
    .object({ logging: z.object({ max_log_file_size: text }).prefault({}) })
    .nullish()
    .transform((value) => value ?? { logging: { max_log_file_size: '' } }),
  job: jobSchema.nullish().transform((value) => value ?? jobSchema.parse({})),
  packages: z
    .record(z.string(), packageSchema)
    .nullish()
    .transform((value) => value ?? {}),
  configuration_hash: text,
  networks: z
    .record(z.string(), z.record(z.string(), z.unknown()))
    .nullish()
    .transform((value) => value ?? {}),
  resource_pool: z.unknown().optional().transform((value) => value ?? null),
  deployment: text,
  name: text,
  index: z
    .number()
    .nullish()
    .transform((value) => value ?? null),
  id: text,
  az: text,
  persistent_disk: z
    .number()
    .nullish()
    .transform((value) => value ?? 0),
  rendered_templates_archive: z
    .object({ sha1: text, blobstore_id: text })
    .nullish()
    .transform((value) => (value === null || value === undefined || value.blobstore_id === '' ? null : value)),
});
export type ApplySpec = z.infer<typeof applySpecSchema>;

/** The spec of an agent to which none was applied. */
export const emptySpec: ApplySpec = applySpecSchema.parse({});

/** Names of the jobs, in the order of the spec. */
export function jobNames(spec: ApplySpec): string[] {
  return spec.job.templates?.map((template) => template.name) ?? [];
}

/** Parses a spec; the error names the key. */
export function parseApplySpec(value: unknown): ApplySpec {
  const parsed = applySpecSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new Error(`The apply spec is not valid: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? ''}`);
}

/** Every network of the spec must be one that the VM has. */
export function checkNetworks(spec: ApplySpec, known: Record<string, unknown>): void {
  for (const name of Object.keys(spec.networks)) {
    if (!Object.hasOwn(known, name)) throw new Error(`Network '${name}' is not found in settings`);
  }
}

/** The spec with the addresses of dynamic networks, which the cloud has told the VM and nobody else. */
export function withCloudAddresses(spec: ApplySpec, known: Record<string, Record<string, unknown>>): ApplySpec {
  const networks = Object.entries(spec.networks).map(([name, network]) => {
    const told = known[name];
    if (network.type !== 'dynamic' || !told) return [name, network] as const;
    return [name, { ...network, ip: told.ip, netmask: told.netmask, gateway: told.gateway }] as const;
  });
  return { ...spec, networks: Object.fromEntries(networks) };
}

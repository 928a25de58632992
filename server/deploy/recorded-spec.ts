import { z } from 'zod';
import { code, DirectorError } from '../core/errors';
import { parseUpdateConfig } from '../deployments/update-config';
import type { UpdateConfig } from '../deployments/manifest';
import type { ApplySpec, NetworkSettings } from '../instances/instance';

/**
 * What is recorded of an instance (`instances.spec`), read back for work that follows the records instead of a plan.
 * Shapes: `FullSpec`. A VM's part is recorded as soon as the VM is made, the rest when its agent has been given it.
 */

const hash = z.record(z.string(), z.unknown());

const networkSettings: z.ZodType<NetworkSettings> = z.looseObject({
  type: z.enum(['manual', 'dynamic', 'vip']),
  ip: z.string().optional(),
  prefix: z.string(),
  netmask: z.string().optional(),
  cloud_properties: hash,
  default: z.array(z.string()).optional(),
  dns: z.array(z.string()).optional(),
  gateway: z.string().optional(),
});

const networks = z.record(z.string(), networkSettings);

const vmFacts = z.object({ networks, stemcell: z.object({ name: z.string(), version: z.string(), cpi: z.string().default('') }), env: hash });

const jobSpec = z.looseObject({
  name: z.string(),
  templates: z.array(z.looseObject({ name: z.string(), version: z.string(), sha1: z.string(), blobstore_id: z.string(), logs: z.unknown() })),
  template: z.string(),
  version: z.string(),
});

/** Exactly the keys that agents get, in BOSH's order. */
const applied: z.ZodType<ApplySpec> = z.object({
  deployment: z.string(),
  job: jobSpec.nullable(),
  index: z.int(),
  name: z.string(),
  id: z.string(),
  az: z.string().nullable(),
  networks,
  packages: z.record(z.string(), z.looseObject({ name: z.string(), version: z.string(), sha1: z.string(), blobstore_id: z.string() })),
  dns_domain_name: z.string(),
  persistent_disk: z.number().optional(),
  template_hashes: z.record(z.string(), z.string()).optional(),
  rendered_templates_archive: z.object({ blobstore_id: z.string(), sha1: z.string() }).optional(),
  configuration_hash: z.string().optional(),
});

const updateBlock = z.object({ update: hash });

/** The CPI that made the instance's last VM; undefined when nothing of a VM is recorded. */
export function readRecordedCpi(spec: Record<string, unknown> | null): string | undefined {
  return vmFacts.pick({ stemcell: true }).safeParse(spec).data?.stemcell.cpi;
}

/** An instance as its last update left it. */
export interface RecordedSpec extends z.infer<typeof vmFacts> {
  /** Absent when its VM was made and nothing was ever applied to it. */
  applied?: { spec: ApplySpec; update: UpdateConfig };
}

/** Throws DirectorError 100 when nothing was ever recorded of a VM, or what was applied to it cannot be read. @param label of the instance, for the error */
export function readRecordedSpec(spec: Record<string, unknown> | null, label: string): RecordedSpec {
  const vm = vmFacts.safeParse(spec);
  if (!vm.success) throw new DirectorError(code.generic, `Nothing is recorded of a VM of '${label}' by which it could be made again: deploy first`);
  if (!('packages' in (spec ?? {}))) return vm.data;
  const apply = applied.safeParse(spec);
  const update = readRecordedUpdate(spec);
  // Taken for a VM to which nothing was applied, it would come back without its jobs.
  if (!apply.success || !update) throw new DirectorError(code.generic, `What is recorded of '${label}' cannot be read by this version (${apply.success ? 'update' : apply.error.issues.map((issue) => issue.path.join('.')).join(', ')}): deploy first`);
  return { ...vm.data, applied: { spec: apply.data, update } };
}

/** The `update` block of a recorded spec; undefined before the first update. */
export function readRecordedUpdate(spec: Record<string, unknown> | null): UpdateConfig | undefined {
  const found = updateBlock.safeParse(spec);
  return found.success ? parseUpdateConfig(found.data.update, {}) : undefined;
}

/** Addresses (CIDR text) with their networks that a VM of the spec uses. */
export function addressesOf(spec: Pick<RecordedSpec, 'networks'>): { address: string; networkName: string }[] {
  return Object.entries(spec.networks).flatMap(([networkName, { type, ip, prefix }]) => (ip === undefined || type === 'dynamic' ? [] : [{ address: `${ip}/${prefix}`, networkName }]));
}

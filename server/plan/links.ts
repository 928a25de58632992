import { groupBy } from '../core/collections';
import { notSupported } from '../core/errors';
import { isHash } from '../core/yaml';
import type { ManifestGroup, ManifestJob } from '../deployments/manifest';
import type { JobRecord } from '../releases/release';

/**
 * Links are not built yet: what would need one is refused, so that no job runs without what it relies on.
 * A consumer stays without a link, as in BOSH, when it is optional and nobody or several provide its type, or when the
 * manifest blocks it (`consumes: {name: nil}`).
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/links/links_manager.rb.
 */

/** A job of the manifest with its record. */
export interface LinkedJob {
  group: ManifestGroup;
  job: ManifestJob;
  record: JobRecord;
}

interface LinkSpec {
  name: string;
  type: string;
  optional: boolean;
}

/** Throws a "not supported" error naming the first link that would have to be resolved or shared. */
export function refuseLinks(jobs: readonly LinkedJob[]): void {
  for (const linked of jobs) refuseSpecialProviders(linked);
  const providers = groupBy(jobs.flatMap(providedBy), (spec) => spec.type);
  for (const linked of jobs) {
    for (const consumer of linkSpecs(linked.record.spec.consumes)) refuseConsumer(linked, consumer, providers.get(consumer.type)?.length ?? 0);
  }
}

function refuseConsumer({ group, job }: LinkedJob, consumer: LinkSpec, providers: number): void {
  const place = `job '${job.name}' in instance group '${group.name}'`;
  const wish = Object.hasOwn(job.consumes, consumer.name) ? job.consumes[consumer.name] : undefined;
  if (isBlocked(wish)) return;
  if (wish !== undefined) throw notSupported(`The link '${consumer.name}' that ${place} consumes by name`);
  if (!consumer.optional) throw notSupported(`The link '${consumer.name}' of type '${consumer.type}' that ${place} consumes`);
  if (providers === 1) throw notSupported(`The optional link '${consumer.name}' of type '${consumer.type}' that ${place} consumes and another job provides (block it with 'consumes: {${consumer.name}: nil}')`);
}

function refuseSpecialProviders({ group, job }: LinkedJob): void {
  for (const [name, wish] of Object.entries(job.provides)) {
    const special = isHash(wish) ? ['shared', 'aliases'].find((key) => wish[key] !== undefined && wish[key] !== false) : undefined;
    if (special !== undefined) throw notSupported(`'${special}' of the link '${name}' that job '${job.name}' in instance group '${group.name}' provides`);
  }
}

function providedBy({ job, record }: LinkedJob): LinkSpec[] {
  return linkSpecs(record.spec.provides).filter((spec) => !isBlocked(job.provides[spec.name]));
}

function isBlocked(wish: unknown): boolean {
  return wish === 'nil' || wish === null;
}

function linkSpecs(value: unknown): LinkSpec[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((item: unknown) => {
    if (!isHash(item) || typeof item.name !== 'string' || typeof item.type !== 'string') return [];
    return [{ name: item.name, type: item.type, optional: item.optional === true }];
  });
}

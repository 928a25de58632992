import { createHash } from 'node:crypto';
import { preludeVersion } from './prelude.rb';

/** What a job's templates see as `spec`: the instance's template spec, already bound to this one job. */
export interface TemplateSpec {
  deployment: string;
  /** Name of the instance group. */
  name: string;
  /** UUID of the instance. */
  id: string;
  index: number;
  bootstrap: boolean;
  az: string | null;
  /** `name` in it is the instance group's. */
  job: object;
  /** Network name to settings, `dns_record_name` included. */
  networks: object;
  ip: string | null;
  address: string | null;
  dns_domain_name: string;
  /** MB; 0 without a disk; absent with unmanaged disks. */
  persistent_disk?: number;
  /** Bound properties of this job only, nested. */
  properties: object;
  /** Links of this job only: name to content. */
  links: object;
  release: { name: string; version: string };
  [key: string]: unknown;
}

/** Ids that the director has given out for DNS queries (`link.address`); ids of local_dns_encoded_* rows. */
export interface DnsIds {
  azs: Record<string, number | string>;
  networks: Record<string, number | string>;
  groups: { type: 'instance-group' | 'link'; name: string; deployment: string; id: number | string }[];
  /** Instance UUID to numeric id; only needed for `address(uuid: …)`. */
  instances?: Record<string, number | string>;
}

export const noDnsIds: DnsIds = { azs: {}, networks: {}, groups: [] };

/** A template's source: bytes are taken as they are, a string as UTF-8. */
export type TemplateText = string | Uint8Array;

/** One release job of one instance, ready to be rendered. */
export interface RenderJob {
  jobName: string;
  /** Values may also hold `bigint` (written digit by digit) and `Map` (keeps its order, which objects do not for keys like "10"). */
  context: TemplateSpec;
  dns: DnsIds;
  monit: TemplateText;
  /** In the order of the job spec; `src` and `dest` are relative paths. */
  templates: { src: string; dest: string; text: TemplateText }[];
  /** Parsed `properties_schema.json`, which the properties must fit before anything is rendered; undefined without one. */
  propertiesSchema?: unknown;
}

export interface RenderedFile {
  src: string;
  dest: string;
  content: Buffer;
}

/** Shared by everyone who asks for the same job: not to be changed. */
export interface RenderedJob {
  readonly jobName: string;
  readonly monit: Buffer;
  readonly files: readonly Readonly<RenderedFile>[];
}

/** A job as it travels to the Ruby VM: `[src, base64 of the text]` in `sources`, monit first. */
export interface EncodedJob {
  json: string;
  templates: string[];
  /** What the schema is held against; undefined without a schema. JSON of `{ schema, properties }`. */
  check?: string;
}

/** Serialises the job for the VM. */
export function encodeJob(job: RenderJob): EncodedJob {
  const sources = [{ src: 'monit', text: job.monit }, ...job.templates];
  const json = JSON.stringify({
    name: job.jobName,
    spec: toJson(job.context),
    dns: { ...job.dns, instances: job.dns.instances ?? {} },
    sources: sources.map(({ src, text }) => [src, Buffer.from(text).toString('base64')]),
  });
  const { propertiesSchema: schema, context: { properties } } = job;
  return { json, templates: sources.map(({ src }) => src), ...(schema === undefined ? {} : { check: toJson({ schema, properties }) }) };
}

/** Key under which the result of the job may be cached: everything that decides the output, and nothing else. */
export function jobKey(job: RenderJob, encoded: EncodedJob): string {
  const hash = createHash('sha256').update(preludeVersion).update(encoded.json).update('\0');
  hash.update(JSON.stringify(job.templates.map(({ dest }) => dest)));
  if (encoded.check !== undefined) hash.update('\0').update(encoded.check);
  return hash.digest('hex');
}

/** JSON with `bigint` as a number and `Map` as an object in its own order; `undefined` values of objects are left out. */
export function toJson(value: unknown): string {
  if (typeof value === 'bigint') return value.toString();
  if (Array.isArray(value)) return `[${value.map((item) => (item === undefined ? 'null' : toJson(item))).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
  const entries: [unknown, unknown][] = value instanceof Map ? [...value.entries()] : Object.entries(value);
  const members = entries.filter(([, item]) => item !== undefined).map(([key, item]) => `${JSON.stringify(String(key))}:${toJson(item)}`);
  return `{${members.join(',')}}`;
}

import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { z } from 'zod';
import { code, DirectorError } from '../core/errors';
import type { RenderJob } from './render-job';

/**
 * Job archives of releases: `job.MF`, `monit` or `*.monit`, `templates/…`, perhaps `properties_schema.json`.
 * Checks and codes: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/release/release_job.rb.
 */

/** Most of one archive: its size and what it unpacks to, bytes, and entries. Jobs are text files. */
const maxArchiveBytes = 64 * 1024 * 1024;
const maxUnpackedBytes = 128 * 1024 * 1024;
const maxEntries = 20_000;

const linkName = z.object({ name: z.string(), type: z.string() });
const emptyWhenAbsent = <T extends z.ZodType>(type: T, empty: z.output<T>) => type.nullish().transform((value) => value ?? empty);

const jobManifest = z.looseObject({
  name: z.string(),
  /** Source path below `templates/` to destination path below the job's directory. */
  templates: emptyWhenAbsent(z.record(z.string(), z.string()), {}),
  packages: emptyWhenAbsent(z.array(z.string()), []),
  /** Dotted property name to its definition, in whatever form the upload took it: rendering works with what was recorded then. */
  properties: emptyWhenAbsent(z.record(z.string(), z.unknown()), {}),
  provides: emptyWhenAbsent(z.array(linkName.extend({ properties: z.array(z.string()).nullish() })), []),
  consumes: emptyWhenAbsent(z.array(linkName.extend({ optional: z.unknown().optional() })), []),
  logs: emptyWhenAbsent(z.record(z.string(), z.unknown()), {}),
});

/** The checked `job.MF` of a release job. */
export type JobManifest = z.output<typeof jobManifest>;

export interface JobArchive {
  manifest: JobManifest;
  /** The file named exactly `monit`; without it the job can be uploaded but not rendered. */
  monit: Buffer | undefined;
  /** Source path to contents, for every entry of the manifest's `templates`, in its order. */
  templates: Map<string, Buffer>;
  /** Parsed `properties_schema.json`. */
  propertiesSchema: unknown;
}

export interface JobArchiveOptions {
  /** Name that the release manifest gives the job. */
  jobName: string;
  /** Reads `job.MF`; throws on broken YAML. */
  parseYaml: (text: string) => unknown;
}

/**
 * Reads and checks a job's tgz without touching the disk.
 * Throws DirectorError 80000 to 80016; what is wrong with the archive itself is 80000.
 */
export async function readJobArchive(source: Buffer | Readable, { jobName, parseYaml }: JobArchiveOptions): Promise<JobArchive> {
  const files = await unpack(source, jobName);
  const manifestFile = files.get('job.MF');
  if (!manifestFile) throw new DirectorError(code.jobMissingManifest, `The archive of job '${jobName}' has no job.MF`);
  const manifest = checkManifest(parseManifest(manifestFile, jobName, parseYaml), jobName);
  const templates = new Map(Object.keys(manifest.templates).map((path) => [path, templateFile(files, path, jobName)]));
  if (!files.has('monit') && ![...files.keys()].some((path) => /^[^/]*\.monit$/.test(path))) {
    throw new DirectorError(code.jobMissingMonit, `The archive of job '${jobName}' has neither a 'monit' file nor any '*.monit'`);
  }
  return { manifest, monit: files.get('monit'), templates, propertiesSchema: parseSchema(files.get('properties_schema.json'), jobName) };
}

/** The archive's part of a RenderJob. Throws DirectorError for a job that cannot be rendered. */
export function jobSources({ manifest, monit, templates, propertiesSchema }: JobArchive): Pick<RenderJob, 'jobName' | 'monit' | 'templates' | 'propertiesSchema'> {
  const { name } = manifest;
  if (!monit) throw new DirectorError(code.jobMissingMonit, `Job '${name}' has no file named 'monit' and cannot be rendered`);
  return {
    jobName: name,
    monit,
    templates: [...templates].map(([src, text]) => ({ src, dest: manifest.templates[src] ?? src, text })),
    ...(propertiesSchema === undefined ? {} : { propertiesSchema }),
  };
}

async function unpack(source: Buffer | Readable, jobName: string): Promise<Map<string, Buffer>> {
  const invalid = (why: string, cause?: unknown) =>
    new DirectorError(code.jobInvalidArchive, `The archive of job '${jobName}' cannot be unpacked: ${why}. Build the release again and upload it with --fix.`, { cause });
  const files = new Map<string, Buffer>();
  try {
    let entries = 0;
    for await (const entry of Readable.from([await plainTar(await collect(source))]).pipe(extract())) {
      const path = entryPath(entry.header.name);
      if (path === undefined) throw invalid(`'${entry.header.name}' leads out of the archive`);
      if (++entries > maxEntries) throw invalid(`it has more than ${maxEntries} entries`);
      const content = await buffer(entry);
      if (entry.header.type === 'file') files.set(path, content);
    }
  } catch (cause) {
    if (cause instanceof DirectorError) throw cause;
    throw invalid(cause instanceof Error ? cause.message : String(cause), cause);
  }
  if (files.size === 0) throw invalid('it holds no files');
  return files;
}

async function collect(source: Buffer | Readable): Promise<Buffer> {
  if (Buffer.isBuffer(source)) return source;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const part of source) {
    if (!(part instanceof Uint8Array)) throw new Error('its stream holds something else than bytes');
    const chunk = Buffer.from(part);
    size += chunk.length;
    if (size > maxArchiveBytes) throw new Error(`it is larger than ${maxArchiveBytes >> 20} MiB`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Releases may be built without compression. */
async function plainTar(archive: Buffer): Promise<Buffer> {
  const gzipped = archive[0] === 0x1f && archive[1] === 0x8b;
  return gzipped ? promisify<Buffer, { maxOutputLength: number }, Buffer>(gunzip)(archive, { maxOutputLength: maxUnpackedBytes }) : archive;
}

/** The path without `./`; undefined when it is absolute or climbs. */
function entryPath(name: string): string | undefined {
  const parts = name.split('/');
  if (name.startsWith('/') || parts.includes('..')) return undefined;
  return parts.filter((part) => part !== '.' && part !== '').join('/');
}

function templateFile(files: Map<string, Buffer>, path: string, jobName: string): Buffer {
  const content = files.get(`templates/${entryPath(path) ?? ''}`);
  if (!content) throw new DirectorError(code.jobMissingTemplateFile, `Job '${jobName}' lists the template '${path}', which is not in its archive`);
  return content;
}

function parseManifest(file: Buffer, jobName: string, parseYaml: (text: string) => unknown): Record<string, unknown> {
  let document: unknown;
  try {
    document = parseYaml(file.toString());
  } catch (cause) {
    throw new DirectorError(code.jobMissingManifest, `The manifest (job.MF) of job '${jobName}' is not valid YAML: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const parsed = z.record(z.string(), z.unknown()).safeParse(document);
  if (!parsed.success) throw new DirectorError(code.jobMissingManifest, `The manifest (job.MF) of job '${jobName}' is not a map`);
  return parsed.data;
}

function checkManifest(document: Record<string, unknown>, jobName: string): JobManifest {
  if (document.name !== jobName) {
    throw new DirectorError(code.jobInvalidName, `The release manifest calls the job '${jobName}', its own job.MF calls it '${String(document.name)}'`);
  }
  if (document.logs && !isMap(document.logs)) throw new DirectorError(code.jobInvalidLogSpec, `'logs' of job '${jobName}' must be a map`);
  if (document.properties && !isMap(document.properties)) {
    throw new DirectorError(code.jobInvalidPropertySpec, `'properties' of job '${jobName}' must be a map`);
  }
  if (document.packages && !Array.isArray(document.packages)) {
    throw new DirectorError(code.jobInvalidPackageSpec, `'packages' of job '${jobName}' must be a list of names`);
  }
  checkLinks(document.provides, 'provides', jobName);
  checkLinks(document.consumes, 'consumes', jobName);
  const parsed = jobManifest.safeParse(document);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new DirectorError(codeOfSection(issue?.path[0]), `Job '${jobName}' has an invalid spec: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not understood'}`);
  }
  for (const [src, dest] of Object.entries(parsed.data.templates)) {
    if (!entryPath(dest)) throw new DirectorError(code.jobInvalidArchive, `Job '${jobName}' renders '${src}' to '${dest}', which is not a path inside the job's directory`);
  }
  return parsed.data;
}

function codeOfSection(section: PropertyKey | undefined): number {
  switch (section) {
    case 'properties': return code.jobInvalidPropertySpec;
    case 'packages': return code.jobInvalidPackageSpec;
    case 'logs': return code.jobInvalidLogSpec;
    case 'provides':
    case 'consumes': return code.jobInvalidLinkSpec;
    case 'templates': return code.jobMissingTemplateFile;
    default: return code.jobMissingManifest;
  }
}

function checkLinks(links: unknown, section: 'provides' | 'consumes', jobName: string): void {
  if (links === undefined || links === null) return;
  const invalid = (message: string) => new DirectorError(code.jobInvalidLinkSpec, message);
  if (!Array.isArray(links)) throw invalid(`'${section}' of job '${jobName}' must be a list of maps with name and type`);
  const names = new Set<unknown>();
  for (const link of links as unknown[]) {
    if (!isMap(link)) throw invalid(`'${section}' of job '${jobName}' holds an entry that is not a map`);
    if (!('name' in link) || !('type' in link)) throw invalid(`'${section}' of job '${jobName}' holds an entry without name or type`);
    if (section === 'provides' && 'optional' in link) {
      throw invalid(`Link '${String(link.name)}' is provided by job '${jobName}'; only links under 'consumes' can be optional`);
    }
    if (names.has(link.name)) throw new DirectorError(code.jobDuplicateLinkName, `'${section}' of job '${jobName}' names the link '${String(link.name)}' twice`);
    names.add(link.name);
  }
}

function parseSchema(file: Buffer | undefined, jobName: string): unknown {
  if (!file) return undefined;
  try {
    return JSON.parse(file.toString());
  } catch (cause) {
    throw new DirectorError(code.jobInvalidArchive, `The properties_schema.json of job '${jobName}' is not valid JSON`, { cause });
  }
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

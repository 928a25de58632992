import type { Readable } from 'node:stream';
import { readArchive, readText, type ArchiveRules } from '../core/archive';
import { DirectorError, code } from '../core/errors';
import { isHash, parseYaml, YamlError, type Hash } from '../core/yaml';

/** The archive of a release job: job.MF, monit and templates. */
export interface JobArchive {
  /** Of job.MF; undefined when the archive has none. */
  manifest: string | undefined;
  /** Paths of all files. */
  files: ReadonlySet<string>;
}

const rules: ArchiveRules = { entries: 20_000, fileBytes: 2 ** 30, totalBytes: 4 * 2 ** 30, content: 'plain' };
const maxManifestBytes = 8 * 2 ** 20;

/** Reads a job's archive. Throws ArchiveError. */
export async function readJobArchive(content: Readable): Promise<JobArchive> {
  let manifest: string | undefined;
  const files = new Set<string>();
  await readArchive(content, rules, async (file) => {
    files.add(file.path);
    if (file.path === 'job.MF') manifest = await readText(file, maxManifestBytes);
  });
  return { manifest, files };
}

/**
 * The spec (job.MF) of a job whose archive is in order, and its run-time packages.
 * Checks and codes: cloudfoundry/bosh src/bosh-director/lib/bosh/director/jobs/release/release_job.rb.
 */
export function checkJob(name: string, archive: JobArchive): { spec: Hash; packages: string[] } {
  const spec = specOf(name, archive.manifest);
  if (spec.name !== name) throw new DirectorError(code.jobInvalidName, `Inconsistent name for job '${name}': its job.MF says '${String(spec.name)}'`);
  checkTemplates(name, spec.templates, archive.files);
  if (![...archive.files].some((path) => path === 'monit' || /^[^/]+\.monit$/.test(path))) throw new DirectorError(code.jobMissingMonit, `Job '${name}' is missing monit file`);
  if (isSet(spec.logs) && !isHash(spec.logs)) throw new DirectorError(code.jobInvalidLogSpec, `Job '${name}' has invalid logs spec format`);
  if (isSet(spec.properties) && !isHash(spec.properties)) throw new DirectorError(code.jobInvalidPropertySpec, `Job '${name}' has invalid properties spec format`);
  checkLinks(name, 'provides', spec.provides);
  checkLinks(name, 'consumes', spec.consumes);
  return { spec, packages: packagesOf(name, spec.packages) };
}

function isSet(value: unknown): boolean {
  return value !== undefined && value !== null && value !== false;
}

function specOf(name: string, manifest: string | undefined): Hash {
  if (manifest === undefined) throw new DirectorError(code.jobMissingManifest, `Missing job manifest for '${name}'`);
  try {
    const spec = parseYaml(manifest);
    if (isHash(spec)) return spec;
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    throw new DirectorError(code.jobInvalidArchive, `The job.MF of job '${name}' is not valid YAML: ${error.message}`, { cause: error });
  }
  throw new DirectorError(code.jobInvalidArchive, `The job.MF of job '${name}' is not a hash`);
}

function checkTemplates(name: string, templates: unknown, files: ReadonlySet<string>): void {
  if (!isSet(templates)) return;
  if (!isHash(templates)) throw new DirectorError(code.jobInvalidArchive, `Job '${name}' has an invalid templates section: expected source file to destination`);
  for (const [source, destination] of Object.entries(templates)) {
    if (!staysInside(destination)) throw new DirectorError(code.jobInvalidArchive, `Job '${name}' renders '${source}' to '${String(destination)}', which is not a path inside the job's directory`);
    if (!files.has(`templates/${source}`)) throw new DirectorError(code.jobMissingTemplateFile, `Missing template file '${source}' for job '${name}'`);
  }
}

function staysInside(destination: unknown): boolean {
  if (typeof destination !== 'string' || destination === '' || destination.startsWith('/')) return false;
  return !destination.split('/').includes('..');
}

function packagesOf(name: string, packages: unknown): string[] {
  if (!isSet(packages)) return [];
  if (!Array.isArray(packages)) throw new DirectorError(code.jobInvalidPackageSpec, `Job '${name}' has invalid package spec format`);
  return packages.map((pkg) => String(pkg));
}

function checkLinks(job: string, kind: 'provides' | 'consumes', links: unknown): void {
  if (links === undefined || links === null) return;
  if (!Array.isArray(links)) throw new DirectorError(code.jobInvalidLinkSpec, `Job '${job}' has invalid spec format: '${kind}' must be a list of hashes with name and type`);
  const names = new Set<unknown>();
  for (const link of links as unknown[]) {
    if (!isHash(link)) throw new DirectorError(code.jobInvalidLinkSpec, `Job '${job}' has an entry under '${kind}' that is not a hash with name and type`);
    if (!Object.hasOwn(link, 'name') || !Object.hasOwn(link, 'type')) throw new DirectorError(code.jobInvalidLinkSpec, `Job '${job}' has a link under '${kind}' without 'name' or 'type'`);
    if (kind === 'provides' && Object.hasOwn(link, 'optional')) {
      throw new DirectorError(code.jobInvalidLinkSpec, `Link '${String(link.name)}' that job '${job}' provides has the key 'optional', which only consumed links may have`);
    }
    if (names.has(link.name)) throw new DirectorError(code.jobDuplicateLinkName, `Job '${job}' specifies duplicate ${kind} link with name '${String(link.name)}'`);
    names.add(link.name);
  }
}

/** A package's archive is only passed on to compilation VMs; all that is asked of it is that it can be unpacked. */
const packageRules: ArchiveRules = { entries: 2_000_000, fileBytes: 64 * 2 ** 30, totalBytes: 128 * 2 ** 30, content: 'any' };

/** Reads a package's archive to its end. Throws ArchiveError. */
export async function checkPackageArchive(content: Readable): Promise<void> {
  await readArchive(content, packageRules, async () => undefined);
}

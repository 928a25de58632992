import { PassThrough, Transform, pipeline, type Readable, type Writable } from 'node:stream';
import type { Blobstore } from '../blobstore/blobstore';
import { ArchiveError, readArchive, readText, uploadRules, type ArchiveRules } from '../core/archive';
import { verifyingStream } from '../core/digest';
import { DirectorError, code } from '../core/errors';
import type { Hash } from '../core/yaml';
import { checkJob, checkPackageArchive, readJobArchive, type JobArchive } from './job-archive';
import { maxManifestBytes } from './manifest';

/** Reading of an uploaded release archive: once to know that it is whole, once more to store the parts that are needed. */

/** Reads a release archive to its end. Returns the text of its release.MF, undefined when it has none. Throws ArchiveError. */
export async function scanRelease(archive: Readable, rules: ArchiveRules = uploadRules): Promise<string | undefined> {
  let manifest: string | undefined;
  await readArchive(archive, rules, async (file) => {
    if (file.path === 'release.MF') manifest = await readText(file, maxManifestBytes);
  });
  return manifest;
}

/** A part of the release that is to become a blob of its own. */
export interface WantedPart {
  kind: 'job' | 'package' | 'compiled package';
  name: string;
  version: string;
  /** In the archive, e.g. `jobs/nginx.tgz`. */
  path: string;
  /** BOSH multi-digest that it must have. */
  sha1: string;
  /** Under which it is stored. */
  blobId: string;
}

/** What became of a part; `fault` is an error of the upload and says that no blob was kept. */
export type PartOutcome = { fault: DirectorError } | { fault: undefined; job: { spec: Hash; packages: string[] } | undefined };

/**
 * Streams the wanted parts of a release archive into the blobstore, checking digest and content on the way. Faults of a part are in
 * its outcome; whatever else goes wrong (the blobstore fails, say) is thrown. `beforeStore` is awaited before each part.
 */
export async function storeParts(input: {
  archive: Readable;
  blobstore: Blobstore;
  wanted: readonly WantedPart[];
  /** Told of what is wrong with a part, for the debug log. */
  onFault: (text: string) => void;
  beforeStore: () => Promise<void>;
}): Promise<Map<WantedPart, PartOutcome>> {
  const byPath = new Map(input.wanted.map((part) => [part.path, part]));
  const outcomes = new Map<WantedPart, PartOutcome>();
  await readArchive(input.archive, uploadRules, async (file) => {
    const part = byPath.get(file.path);
    if (!part) return;
    await input.beforeStore();
    outcomes.set(part, await storePart(input.blobstore, part, file.content, input.onFault));
  });
  for (const part of input.wanted) {
    if (!outcomes.has(part)) outcomes.set(part, { fault: fault(part, `the release archive has no file '${part.path}'`) });
  }
  return outcomes;
}

async function storePart(blobstore: Blobstore, part: WantedPart, content: Readable, onFault: (text: string) => void): Promise<PartOutcome> {
  const inspected = new PassThrough({ highWaterMark: 1 << 20 });
  const inspection = settled(inspect(part, inspected));
  const verified = pipeline(content, verifyingStream(part.sha1, (expected, actual) => new DigestMismatch(expected, actual)), copyTo(inspected), () => undefined);
  try {
    await blobstore.put(verified, part.blobId);
  } catch (error) {
    inspected.destroy();
    await inspection;
    if (error instanceof DigestMismatch) return { fault: fault(part, error.message) };
    throw error;
  }
  const result = await inspection;
  try {
    if (!result.ok) throw result.error;
    return { fault: undefined, job: result.value ? checkJob(part.name, result.value) : undefined };
  } catch (error) {
    await blobstore.delete(part.blobId);
    if (error instanceof ArchiveError) {
      onFault(`Reading the archive of ${part.kind} '${part.name}/${part.version}' failed: ${error.message}`);
      return { fault: archiveFault(part, error) };
    }
    if (error instanceof DirectorError) return { fault: error };
    throw error;
  }
}

/** The content of a job's archive; undefined for packages, of which nothing is asked but that they can be unpacked. */
async function inspect(part: WantedPart, content: Readable): Promise<JobArchive | undefined> {
  if (part.kind === 'job') return readJobArchive(content);
  await checkPackageArchive(content);
  return undefined;
}

class DigestMismatch extends Error {
  constructor(expected: string, actual: string) {
    super(`its digest should be ${expected} but is ${actual}`);
    this.name = 'DigestMismatch';
  }
}

function errorCode(part: WantedPart): number {
  return part.kind === 'job' ? code.jobInvalidArchive : code.packageInvalidArchive;
}

function fault(part: WantedPart, reason: string): DirectorError {
  return new DirectorError(errorCode(part), `The archive of ${part.kind} '${part.name}/${part.version}' cannot be used: ${reason}. Upload the release again with --fix; if that does not help, build it again`);
}

function archiveFault(part: WantedPart, cause: ArchiveError): DirectorError {
  const what = part.kind === 'job' ? 'job' : 'package';
  return new DirectorError(errorCode(part), `Extracting ${what} '${part.name}/${part.version}' archive failed. Check task debug log for details.`, { cause });
}

type Settled<T> = { ok: true; value: T } | { ok: false; error: unknown };

/** Keeps a rejection for later instead of leaving it unhandled. */
function settled<T>(promise: Promise<T>): Promise<Settled<T>> {
  return promise.then(
    (value) => ({ ok: true, value }),
    (error: unknown) => ({ ok: false, error }),
  );
}

/** Passes everything on and writes it to `sink` too, at the pace of the slower; a sink that is closed gets nothing more. */
function copyTo(sink: Writable): Transform {
  return new Transform({
    highWaterMark: 1 << 20,
    transform(chunk: Buffer, _encoding, done) {
      if (!sink.writable || sink.write(chunk)) return done(null, chunk);
      const proceed = () => {
        sink.off('drain', proceed);
        sink.off('close', proceed);
        done(null, chunk);
      };
      sink.on('drain', proceed);
      sink.on('close', proceed);
    },
    flush(done) {
      sink.end();
      done();
    },
  });
}

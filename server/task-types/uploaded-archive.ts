import { Writable, type Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { verifyingStream } from '../core/digest';
import { DirectorError, describeError } from '../core/errors';
import { isTaskCancelled, isTaskLost, type TaskContext } from '../tasks/context';
import type { UploadSource } from './artifact-payloads';
import { openBlobLedger, type BlobLedger, type LedgerDeps } from './blob-ledger';
import { downloadToBlob } from './download';

export interface Upload {
  /** `release` or `stemcell`, for stages and messages. */
  what: 'release' | 'stemcell';
  source: UploadSource;
  /** BOSH multi-digest that the archive must have. */
  sha1: string | undefined;
  /** Code of the error when it has another one. */
  mismatchCode: number;
  /** Runs a step of the task under its stage. */
  step<T>(name: string, work: () => Promise<T>): Promise<T>;
}

/** The archive of an upload, for the time of one attempt. */
export interface UploadedArchive {
  open(): Promise<Readable>;
  ledger: BlobLedger;
}

const outcomeKey = 'outcome';
const outcomeSchema = z.union([z.strictObject({ result: z.string() }), z.strictObject({ code: z.number(), message: z.string() })]);

/**
 * Fetches and checks the archive of an upload, runs `work` on it and, however that ends, deletes the archive and what else the task
 * left in the blobstore. The outcome is written down first: an attempt that follows after the deletion ends the same way.
 * An attempt that has lost its task leaves the archive for the next one.
 */
export async function withUploadedArchive(ctx: TaskContext, deps: LedgerDeps, upload: Upload, work: (archive: UploadedArchive) => Promise<string>): Promise<string> {
  const ledger = openBlobLedger(ctx, deps);
  const cleanUp = async () => {
    await ledger.settle();
    if (upload.source.kind === 'blob') await deps.blobstore.delete(upload.source.blobId);
  };
  const earlier = outcomeSchema.safeParse(ctx.remembered(outcomeKey)).data;
  if (earlier) {
    await cleanUp();
    if ('result' in earlier) return earlier.result;
    throw new DirectorError(earlier.code, earlier.message);
  }
  try {
    await ctx.fence();
    await ledger.settle();
    const blobId = await fetchArchive(ctx, deps, upload, ledger);
    await verifyArchive(deps, upload, blobId);
    const result = await work({ open: () => deps.blobstore.get(blobId), ledger });
    await ctx.remember(outcomeKey, { result });
    await cleanUp();
    return result;
  } catch (error) {
    await afterFailure(ctx, deps, { upload, ledger, error });
    throw error;
  }
}

/** Cleans up after a failed attempt. What fails here must not hide why the task failed. */
async function afterFailure(ctx: TaskContext, deps: LedgerDeps, { upload, ledger, error }: { upload: Upload; ledger: BlobLedger; error: unknown }): Promise<void> {
  if (isTaskLost(error)) return ledger.withdraw();
  const calm = ctx.uncancellable();
  try {
    if (!isTaskCancelled(error)) await calm.remember(outcomeKey, describeError(error));
    await openBlobLedger(calm, deps).settle();
    if (upload.source.kind === 'blob') await deps.blobstore.delete(upload.source.blobId);
  } catch (failure) {
    if (isTaskLost(failure)) throw failure;
    ctx.log.error(`Cleaning up after the upload failed: ${describeError(failure).message}`);
  }
}

async function fetchArchive(ctx: TaskContext, deps: LedgerDeps, upload: Upload, ledger: BlobLedger): Promise<string> {
  const { source, what } = upload;
  if (source.kind === 'blob') return source.blobId;
  const [blobId = ''] = await ledger.plan(1);
  await upload.step(`Downloading remote ${what}`, () => downloadToBlob(deps.blobstore, { what, location: source.location, blobId, signal: ctx.signal, log: ctx.log }));
  return blobId;
}

async function verifyArchive(deps: LedgerDeps, upload: Upload, blobId: string): Promise<void> {
  const { sha1, what, mismatchCode } = upload;
  if (sha1 === undefined) return;
  await upload.step(`Verifying remote ${what}`, async () => {
    const verified = digestStream(sha1, mismatchCode);
    await pipeline(await deps.blobstore.get(blobId), verified, new Writable({ highWaterMark: 1 << 20, write: (_chunk, _encoding, done) => done() }));
  });
}

function digestStream(sha1: string, mismatchCode: number): ReturnType<typeof verifyingStream> {
  try {
    return verifyingStream(sha1, (expected, actual) => new DirectorError(mismatchCode, `Expected the upload to have digest '${expected}' but was '${actual}'`));
  } catch (cause) {
    throw new DirectorError(mismatchCode, cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

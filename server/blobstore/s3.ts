import { randomUUID } from 'node:crypto';
import { Readable, pipeline as link } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { verifyingStream } from '../core/digest';
import { DirectorError, code } from '../core/errors';
import { assertBlobId, blobMismatch, blobNotFound, isBlobId } from './blob-id';
import type { Blobstore, StoredBlob } from './blobstore';
import { hashingStream } from './hashing-stream';

export interface S3Settings {
  bucket: string;
  /** URL of a server other than AWS. */
  endpoint?: string | undefined;
  region: string;
  access_key_id: string;
  secret_access_key: string;
  force_path_style: boolean;
  enable_signed_urls: boolean;
}

/** Parts of an upload in memory: `partsAtOnce` × `partBytes`. S3 takes at most 10,000 parts, so this allows 80 GiB. */
const partBytes = 8 << 20;
const partsAtOnce = 2;
const checkTimeoutMs = 2_000;

/**
 * Blobs as objects `<id>` of one bucket, in any S3. The SDK is loaded here only: a node with another blobstore does without.
 * An upload that fails is aborted; parts that a dead process left behind cost storage until the bucket's lifecycle rule drops them.
 */
export async function openS3Blobstore(settings: S3Settings): Promise<Blobstore> {
  const s3 = await import('@aws-sdk/client-s3');
  const { Upload } = await import('@aws-sdk/lib-storage');
  const { getSignedUrl } = await import('@aws-sdk/s3-request-presigner');
  const client = new s3.S3Client({
    region: settings.region,
    ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint }),
    credentials: { accessKeyId: settings.access_key_id, secretAccessKey: settings.secret_access_key },
    forcePathStyle: settings.force_path_style,
    // Other makes of S3 refuse the trailing checksums, and a signed PUT would be bound to the checksum of an empty body.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  const Bucket = settings.bucket;

  async function put(content: Readable | Buffer, id: string): Promise<StoredBlob> {
    assertBlobId(id);
    const hashing = hashingStream();
    const body = link(Buffer.isBuffer(content) ? Readable.from([content]) : content, hashing.stream, () => undefined);
    const upload = new Upload({ client, params: { Bucket, Key: id, Body: body }, partSize: partBytes, queueSize: partsAtOnce });
    try {
      await upload.done();
    } catch (error) {
      // Aborting may fail in its turn and hide that the content was what failed.
      throw body.errored ?? error;
    } finally {
      body.destroy();
    }
    return { id, ...hashing.result() };
  }

  async function get(id: string, options: { range?: { start: number; end: number }; digest?: string } = {}): Promise<Readable> {
    if (!isBlobId(id)) throw blobNotFound(id);
    const Range = options.range && `bytes=${options.range.start}-${options.range.end}`;
    const content = await client.send(new s3.GetObjectCommand({ Bucket, Key: id, ...(Range ? { Range } : {}) })).then(
      ({ Body }) => Body,
      (error: unknown) => {
        if (nameOf(error) === 'InvalidRange') return Readable.from([]);
        throw isAbsent(error) ? blobNotFound(id, error) : error;
      },
    );
    if (!(content instanceof Readable)) throw new DirectorError(code.resourceError, `The blobstore answered without content for blob '${id}'; look at its log`);
    if (options.digest === undefined || options.range) return content;
    return link(content, verifyingStream(options.digest, blobMismatch(id)), () => undefined);
  }

  async function size(id: string): Promise<number | undefined> {
    if (!isBlobId(id)) return undefined;
    try {
      return (await client.send(new s3.HeadObjectCommand({ Bucket, Key: id }))).ContentLength ?? 0;
    } catch (error) {
      if (isAbsent(error)) return undefined;
      throw error;
    }
  }

  return {
    signsUrls: settings.enable_signed_urls,
    put: (content, id = randomUUID()) => put(content, id),
    get,
    read: async (id, digest) => buffer(await get(id, digest === undefined ? {} : { digest })),
    exists: async (id) => (await size(id)) !== undefined,
    size,
    delete: async (id) => {
      if (!isBlobId(id)) return;
      await client.send(new s3.DeleteObjectCommand({ Bucket, Key: id })).catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
      });
    },
    sign: async (id, verb, ttlSeconds) => {
      assertBlobId(id);
      const command = verb === 'get' ? new s3.GetObjectCommand({ Bucket, Key: id }) : new s3.PutObjectCommand({ Bucket, Key: id });
      return getSignedUrl(client, command, { expiresIn: ttlSeconds });
    },
    check: async () => {
      await client.send(new s3.HeadBucketCommand({ Bucket }), { abortSignal: AbortSignal.timeout(checkTimeoutMs) });
    },
  };
}

function nameOf(error: unknown): string | undefined {
  return error instanceof Error ? error.name : undefined;
}

function isAbsent(error: unknown): boolean {
  const name = nameOf(error);
  return name === 'NoSuchKey' || name === 'NotFound';
}

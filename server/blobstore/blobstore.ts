import type { Readable } from 'node:stream';

/**
 * Where bytes live that every node (and agent) can read. Ids are lower-case UUIDs made by the caller or by `put`.
 * A put is atomic: a blob is either whole or absent, whatever dies.
 */
export interface Blobstore {
  /** Stores a stream under a new id (or `id`), hashing on the way. */
  put(content: Readable | Buffer, id?: string): Promise<StoredBlob>;
  /**
   * Reads a blob, or bytes `range.start`…`range.end` (inclusive) of it. With `digest` (BOSH multi-digest) the stream fails at its end
   * when the content does not match; not together with `range`. Rejects with DirectorError 100002 when absent.
   */
  get(id: string, options?: { range?: { start: number; end: number }; digest?: string }): Promise<Readable>;
  /** Whole blob in memory; for small ones (templates, manifests). */
  read(id: string, digest?: string): Promise<Buffer>;
  exists(id: string): Promise<boolean>;
  /** Size in bytes, undefined when absent. */
  size(id: string): Promise<number | undefined>;
  /** Deletes; absent is fine. */
  delete(id: string): Promise<void>;
  /** Whether `sign` works and is wanted. */
  readonly signsUrls: boolean;
  /** URL for an agent, valid for `ttlSeconds`. */
  sign(id: string, verb: 'get' | 'put', ttlSeconds: number): Promise<string>;
  /** Answers within 2 s or rejects; for readiness and the console. */
  check(): Promise<void>;
}

export interface StoredBlob {
  id: string;
  /** Bytes. */
  size: number;
  sha1: string;
  sha256: string;
}

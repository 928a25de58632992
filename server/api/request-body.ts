import type { IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import type { z } from 'zod';
import { sha256Hex } from '../core/digest';
import { DirectorError, code } from '../core/errors';
import { ReplyThrown, json as jsonReply } from './reply';

/** JSON and YAML bodies may have this many bytes. */
const documentLimit = 16 * 1024 * 1024;
/** Uploads are read in pieces of about this many bytes: hashing and file systems like large ones. */
const uploadPiece = 1 << 20;

/** The body of a request, read at most once however often it is asked for. */
export interface RequestBody {
  /** `Content-Length`, bytes; undefined when the client does not tell. */
  readonly declaredLength: number | undefined;
  /** All of it as text. 413 when it is longer than `documentLimit`. */
  text(): Promise<string>;
  /** Parsed JSON; throws 710001 when it is none. An empty body is undefined. */
  json(): Promise<unknown>;
  /** Parsed JSON of this shape; throws 40001 for what is missing and 40000 for what has the wrong type, with the key. */
  jsonOf<T>(schema: z.ZodType<T>): Promise<T>;
  /** Hex digest of the bytes that were read; of no bytes when the body was not read. */
  sha256(): string;
  /** The raw bytes, for uploads; fails when the client goes away early. Use once, instead of the others. */
  stream(): Readable;
}

export function requestBody(message: IncomingMessage): RequestBody {
  let read: Promise<Buffer> | undefined;
  let content: Buffer | undefined;
  const declared = message.headers['content-length'];
  const declaredLength = declared === undefined ? undefined : Number(declared);

  const bytes = () => {
    read ??= readDocument(message, declaredLength).then((buffer) => (content = buffer));
    return read;
  };
  const text = async () => (await bytes()).toString('utf8');
  const json = async () => parseJson(await text());
  return {
    declaredLength,
    text,
    json,
    jsonOf: async (schema) => parseAs(schema, await json()),
    sha256: () => sha256Hex(content ?? ''),
    stream: () => Readable.from(inLargePieces(message), { objectMode: false, highWaterMark: uploadPiece }),
  };
}

async function readDocument(message: IncomingMessage, declaredLength: number | undefined): Promise<Buffer> {
  if (declaredLength !== undefined && declaredLength > documentLimit) throw tooLarge();
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of message as AsyncIterable<Buffer>) {
    size += part.length;
    if (size > documentLimit) throw tooLarge();
    parts.push(part);
  }
  return Buffer.concat(parts);
}

function tooLarge(): ReplyThrown {
  const reply = jsonReply({ code: code.validationViolatedMax, description: `The request body is larger than ${documentLimit / 1024 / 1024} MB: send a smaller document` }, 413);
  return new ReplyThrown({ ...reply, headers: { ...reply.headers, connection: 'close' } });
}

/** Joins what arrives into pieces of `uploadPiece` bytes or a little more; memory stays constant. */
async function* inLargePieces(message: IncomingMessage): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const part of message as AsyncIterable<Buffer>) {
    parts.push(part);
    size += part.length;
    if (size < uploadPiece) continue;
    yield Buffer.concat(parts, size);
    parts = [];
    size = 0;
  }
  if (size > 0) yield Buffer.concat(parts, size);
}

function parseJson(text: string): unknown {
  if (text.trim() === '') return undefined;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DirectorError(code.invalidJson, `Invalid JSON request body: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

function parseAs<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const key = issue?.path.join('.') ?? '';
  if (value === undefined) throw new DirectorError(code.validationMissingField, 'The request needs a JSON body');
  if (issue?.code === 'invalid_type' && issue.message.endsWith('received undefined')) throw new DirectorError(code.validationMissingField, `Missing '${key}' field`);
  throw new DirectorError(code.validationInvalidType, key === '' ? `The request body is not valid: ${issue?.message ?? ''}` : `Field '${key}' is not valid: ${issue?.message ?? ''}`);
}

import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import type { StoredBlob, Blobstore } from '../blobstore/blobstore';
import { ArchiveError } from '../core/archive';
import { DirectorError, code } from '../core/errors';
import type { TaskLog } from '../tasks/task-log';

/** As many as the Ruby director follows: cloudfoundry/bosh src/bosh-director/lib/bosh/director/download_helper.rb. */
const maxRedirects = 9;
/** Largest download, bytes. */
const maxBytes = 64 * 2 ** 30;

export interface Download {
  /** `release` or `stemcell`, for messages. */
  what: string;
  location: string;
  /** Under which it is stored. */
  blobId: string;
  signal: AbortSignal;
  log: TaskLog;
}

/**
 * Streams what lies at an http or https URL into the blobstore. Basic credentials in the URL are sent to its own host only and
 * never logged. Throws 100002 for a 404, 100001 for everything else that goes wrong, the signal's reason when it aborts.
 */
export async function downloadToBlob(blobstore: Blobstore, download: Download): Promise<StoredBlob> {
  const { what, log, signal } = download;
  const shown = withoutCredentials(download.location);
  log.info(`Downloading remote ${what} from ${shown}`);
  try {
    const response = await follow(download);
    if (response.status === 404) throw new DirectorError(code.resourceNotFound, `No ${what} found at '${shown}'.`);
    if (!response.ok || !response.body) throw new Error(`the server answered ${response.status} ${response.statusText}`);
    return await blobstore.put(Readable.from(counted(response.body as ReadableStream<Uint8Array>), { objectMode: false }), download.blobId);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    if (error instanceof DirectorError) throw error;
    log.error(`Downloading remote ${what} from ${shown} failed: ${describe(error)}`);
    throw new DirectorError(code.resourceError, `Downloading remote ${what} failed. Check task debug log for details.`, { cause: error });
  }
}

async function follow({ what, location, signal }: Download): Promise<Response> {
  let at = location;
  for (let redirects = 0; redirects <= maxRedirects; redirects++) {
    const url = httpUrl(at, what);
    const { username, password } = url;
    url.username = '';
    url.password = '';
    const authorization = username ? `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}` : undefined;
    const response = await fetch(url, { redirect: 'manual', signal, headers: { 'accept-encoding': 'identity', ...(authorization ? { authorization } : {}) } });
    if (![301, 302, 303, 307, 308].includes(response.status)) return response;
    await response.body?.cancel();
    const next = response.headers.get('location');
    if (next === null) throw new DirectorError(code.resourceError, `No location header for redirect found at '${withoutCredentials(at)}'.`);
    at = new URL(next, url).toString();
  }
  throw new DirectorError(code.resourceError, `Too many redirects at '${withoutCredentials(location)}'.`);
}

function httpUrl(text: string, what: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url;
  throw new DirectorError(code.resourceError, `The ${what} cannot be downloaded from '${withoutCredentials(text)}': only http and https URLs are accepted`);
}

function withoutCredentials(text: string): string {
  return text.replace(/\/\/[^/@]*@/, '//<redacted>@');
}

async function* counted(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new ArchiveError(`it is larger than ${maxBytes} bytes`);
    yield chunk;
  }
}

/** Network errors hide their reason in the cause. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
}

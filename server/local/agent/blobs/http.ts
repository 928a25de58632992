import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { pipeline } from 'node:stream/promises';

export interface HttpOptions {
  headers?: Record<string, string>;
  /** PEM of the CA of the server; the system's when empty. */
  ca?: string;
}

const idleTimeoutMs = 60_000;

/** GETs a URL into a file; rejects unless the answer is 2xx. */
export async function getFile(url: string, path: string, options: HttpOptions = {}): Promise<void> {
  const response = await send(url, { method: 'GET', ...options });
  await expectSuccess(response, `GET ${withoutQuery(url)}`);
  await pipeline(response, createWriteStream(path));
}

/** PUTs a file to a URL; rejects unless the answer is 2xx. */
export async function putFile(url: string, path: string, options: HttpOptions = {}): Promise<void> {
  const { size } = await stat(path);
  const headers = { Accept: '*/*', ...options.headers, 'Content-Length': String(size) };
  const response = await send(url, { method: 'PUT', ...options, headers, body: path });
  await expectSuccess(response, `PUT ${withoutQuery(url)}`);
  response.resume();
}

function send(url: string, options: HttpOptions & { method: string; body?: string }): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const secure = new URL(url).protocol === 'https:';
    const common = { method: options.method, headers: options.headers, timeout: idleTimeoutMs };
    const request = secure ? httpsRequest(url, { ...common, ...(options.ca === undefined || options.ca === '' ? {} : { ca: options.ca }) }) : httpRequest(url, common);
    request.once('timeout', () => request.destroy(new Error(`no answer from ${withoutQuery(url)} for ${idleTimeoutMs / 1000} seconds`)));
    request.once('error', reject);
    request.once('response', resolve);
    if (options.body === undefined) request.end();
    else pipeline(createReadStream(options.body, { highWaterMark: 1 << 20 }), request).catch(reject);
  });
}

async function expectSuccess(response: IncomingMessage, what: string): Promise<void> {
  const status = response.statusCode ?? 0;
  if (status >= 200 && status < 300) return;
  response.resume();
  throw new Error(`${what}: unexpected status ${status} ${response.statusMessage ?? ''}`.trim());
}

/** The query of a signed URL is its secret. */
function withoutQuery(url: string): string {
  return url.replace(/\?.*$/, '');
}

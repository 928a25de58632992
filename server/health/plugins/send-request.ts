import http from 'node:http';
import https from 'node:https';
import { isIP, type Socket } from 'node:net';
import tls from 'node:tls';

export interface OutgoingRequest {
  method: 'POST' | 'PUT';
  /** http or https. */
  url: string;
  headers?: Record<string, string>;
  body: string;
  /** The path may be a secret, as those of chat programs' hooks are: errors name the server only. */
  hidesPath?: boolean;
  /** URL of an HTTP proxy; https goes through it in a tunnel. */
  proxy?: string | undefined;
  /** PEM of the CA of the server, if no public one signed its certificate. */
  ca?: string | undefined;
  signal: AbortSignal;
}

/** What is kept of an answer, bytes. */
const keptBytes = 4_096;

/**
 * Sends a request on a connection of its own; redirects are not followed. Resolves when a 2xx answer is whole; throws otherwise, naming
 * method and place (without the query, where tokens may be), status and the beginning of the answer.
 */
export async function sendRequest(request: OutgoingRequest): Promise<void> {
  const url = new URL(request.url);
  const place = `${request.method} ${url.origin}${request.hidesPath ? '' : url.pathname}`;
  const { status, text } = await answerOf(request, url).catch((cause: unknown) => {
    throw new Error(`${place} failed: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  });
  if (status < 200 || status > 299) throw new Error(`${place} answered ${status}: ${text.slice(0, 300).trim()}`);
}

async function answerOf(request: OutgoingRequest, url: URL): Promise<{ status: number; text: string }> {
  const { method, body, signal, ca } = request;
  const headers: http.OutgoingHttpHeaders = { 'user-agent': 'directorate', ...request.headers, 'content-length': Buffer.byteLength(body) };
  const secure = url.protocol === 'https:';
  const proxy = request.proxy === undefined ? undefined : new URL(request.proxy);
  if (proxy && !secure) {
    const through = { ...addressOf(proxy), path: url.href, headers: { ...headers, host: url.host, ...proxyAuthorization(proxy) } };
    return finish(http.request({ method, signal, agent: false, ...through }), body);
  }
  const options = { method, signal, ...addressOf(url), path: `${url.pathname}${url.search}`, headers };
  if (!secure) return finish(http.request({ ...options, agent: false }), body);
  if (!proxy) return finish(https.request({ ...options, agent: false, ca }), body);
  const tunnel = await openTunnel(proxy, url, signal);
  const host = hostOf(url);
  try {
    return await finish(https.request({ ...options, createConnection: () => tls.connect({ socket: tunnel, host, servername: isIP(host) ? '' : host, ca }) }), body);
  } finally {
    tunnel.destroy();
  }
}

/** IPv6 addresses come in brackets in URLs only. */
function hostOf(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}

function addressOf(url: URL): { host: string; port: number } {
  return { host: hostOf(url), port: Number(url.port) || (url.protocol === 'https:' ? 443 : 80) };
}

function proxyAuthorization(proxy: URL): Record<string, string> {
  if (proxy.username === '') return {};
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}

function openTunnel(proxy: URL, target: URL, signal: AbortSignal): Promise<Socket> {
  const { port } = addressOf(target);
  const authority = `${target.hostname}:${port}`;
  return new Promise((resolve, reject) => {
    const connect = http.request({ method: 'CONNECT', signal, agent: false, ...addressOf(proxy), path: authority, headers: { host: authority, ...proxyAuthorization(proxy) } });
    connect.once('error', reject);
    connect.once('connect', (answer, socket) => {
      // From here on the request that uses the tunnel minds its errors.
      socket.on('error', () => undefined);
      if (answer.statusCode === 200) return resolve(socket);
      socket.destroy();
      reject(new Error(`the proxy ${proxy.host} answered ${answer.statusCode ?? 'nothing'} to CONNECT`));
    });
    connect.end();
  });
}

function finish(sending: http.ClientRequest, body: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    sending.once('error', reject);
    sending.once('response', (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (part: string) => {
        if (text.length < keptBytes) text += part;
      });
      answer.once('error', reject);
      answer.once('end', () => resolve({ status: answer.statusCode ?? 0, text }));
    });
    sending.end(body);
  });
}

import { request as httpRequest } from 'node:http';
import { Agent, request as httpsRequest } from 'node:https';

/** HTTP for clients that run in Node and trust a CA of their own: Node's `fetch` cannot be given one. */
export interface NodeTransport {
  fetch(url: string, init: { method: string; headers: Record<string, string>; body?: string | undefined; signal?: AbortSignal | undefined }): Promise<Response>;
  /** Calls back with whole lines until the answer ends; resolves with the status. */
  lines(url: string, init: { headers: Record<string, string>; signal: AbortSignal; onOpen: (status: number) => void; onLine: (line: string) => void }): Promise<void>;
}

/** `ca`: PEM of the CA of the director's certificate; undefined trusts the system's. */
export function createNodeTransport(ca: string | undefined): NodeTransport {
  const agent = new Agent({ keepAlive: true, ...(ca === undefined ? {} : { ca }) });
  const open = (url: string, options: { method: string; headers: Record<string, string>; signal?: AbortSignal | undefined }) =>
    url.startsWith('https:') ? httpsRequest(url, { ...options, agent }) : httpRequest(url, options);

  return {
    fetch: (url, init) =>
      new Promise((resolve, reject) => {
        const req = open(url, init);
        req.on('error', reject);
        req.on('response', (res) => {
          const parts: Buffer[] = [];
          res.on('data', (part: Buffer) => parts.push(part));
          res.on('error', reject);
          res.on('end', () => resolve(new Response(Buffer.concat(parts), { status: res.statusCode ?? 500 })));
        });
        req.end(init.body);
      }),

    lines: (url, init) =>
      new Promise((resolve, reject) => {
        const req = open(url, { method: 'GET', headers: init.headers, signal: init.signal });
        req.on('error', reject);
        req.on('response', (res) => {
          init.onOpen(res.statusCode ?? 500);
          let rest = '';
          res.setEncoding('utf8');
          res.on('data', (text: string) => {
            const lines = (rest + text).split('\n');
            rest = lines.pop() ?? '';
            for (const line of lines) init.onLine(line.replace(/\r$/, ''));
          });
          res.on('error', reject);
          res.on('end', resolve);
        });
        req.end();
      }),
  };
}

import { Agent, request } from 'node:https';
import { sleep } from '../../server/core/clock';

/**
 * Speaks to a director as the bosh CLI does: one connection per request, five attempts 500 ms apart on network errors,
 * redirects followed as GET within the same attempt, tasks polled every 500 ms with `Range`.
 * Facts: cloudfoundry/bosh-cli director/{client_request,task_client_request}.go.
 */
export interface CliClientOptions {
  /** `https://host:port` */
  url: string;
  ca: string;
  client: string;
  secret: string;
}

export interface CliResponse {
  status: number;
  body: string;
  headers: Record<string, string | string[] | undefined>;
}

export interface CliRequest {
  body?: string | Buffer;
  contentType?: string;
  headers?: Record<string, string>;
}

export interface FollowedTask {
  id: number;
  state: string;
  result: string | null;
  /** The event stream exactly as the CLI collected it, piece by piece. */
  events: string;
  /** Attempts that the CLI had to repeat. */
  retries: number;
}

export class CliClient {
  readonly #options: CliClientOptions;
  #retries = 0;

  constructor(options: CliClientOptions) {
    this.#options = options;
  }

  /** Network errors that were answered by another attempt, until now. */
  get retries(): number {
    return this.#retries;
  }

  /** One call with the CLI's retries; redirects are followed. */
  async call(method: string, path: string, options: CliRequest = {}): Promise<CliResponse> {
    for (let attempt = 1; ; attempt++) {
      try {
        const first = await this.#once(method, path, options);
        if (![301, 302, 303].includes(first.status)) return first;
        const location = new URL(String(first.headers.location), this.#options.url);
        return await this.#once('GET', location.pathname + location.search, {});
      } catch (error) {
        if (attempt >= 5) throw error;
        this.#retries++;
        await sleep(500);
      }
    }
  }

  async json<T>(method: string, path: string, options: CliRequest = {}): Promise<T> {
    const response = await this.call(method, path, options);
    if (response.status >= 300) throw new Error(`${method} ${path}: ${response.status} ${response.body}`);
    return JSON.parse(response.body) as T;
  }

  /** Starts a task and returns its id. */
  async start(method: string, path: string, options: CliRequest = {}): Promise<number> {
    const task = await this.json<{ id: number }>(method, path, options);
    if (!Number.isInteger(task.id)) throw new Error(`no task in the answer to ${method} ${path}`);
    return task.id;
  }

  /** Follows a task to its end as `bosh` does, collecting what it would print. */
  async follow(id: number, options: { withinMs?: number; onEvents?: (text: string) => void } = {}): Promise<FollowedTask> {
    const deadline = performance.now() + (options.withinMs ?? 120_000);
    const before = this.#retries;
    let offset = 0;
    let events = '';
    for (;;) {
      const task = await this.json<{ state: string; result: string | null }>('GET', `/tasks/${id}`);
      const chunk = await this.call('GET', `/tasks/${id}/output?type=event`, { headers: { Range: `bytes=${offset}-` } });
      if (chunk.status === 206 || (chunk.status === 200 && offset === 0)) {
        events += chunk.body;
        offset += Buffer.byteLength(chunk.body);
        if (chunk.body !== '') options.onEvents?.(events);
      }
      if (!['queued', 'processing', 'cancelling'].includes(task.state)) return { id, state: task.state, result: task.result, events, retries: this.#retries - before };
      if (performance.now() > deadline) throw new Error(`task ${id} is still ${task.state}; events so far:\n${events}`);
      await sleep(500);
    }
  }

  async output(id: number, type: 'event' | 'result' | 'debug' | 'cpi'): Promise<string> {
    return (await this.call('GET', `/tasks/${id}/output?type=${type}`)).body;
  }

  #once(method: string, path: string, options: CliRequest): Promise<CliResponse> {
    const target = new URL(path, this.#options.url);
    return new Promise((resolve, reject) => {
      const req = request(
        target,
        {
          method,
          ca: this.#options.ca,
          agent: new Agent({ keepAlive: false }),
          timeout: 30_000,
          headers: {
            Authorization: `Basic ${Buffer.from(`${this.#options.client}:${this.#options.secret}`).toString('base64')}`,
            ...(options.contentType ? { 'Content-Type': options.contentType } : {}),
            ...(options.body === undefined ? {} : { 'Content-Length': String(Buffer.byteLength(options.body)) }),
            ...options.headers,
          },
        },
        (res) => {
          const parts: Buffer[] = [];
          res.on('data', (part: Buffer) => parts.push(part));
          res.on('error', reject);
          res.on('aborted', () => reject(new Error('the connection was closed in the middle of an answer')));
          res.on('end', () => resolve({ status: res.statusCode ?? 0, body: Buffer.concat(parts).toString('utf8'), headers: res.headers }));
        },
      );
      req.on('timeout', () => req.destroy(new Error('no answer within 30 s')));
      req.on('error', reject);
      req.end(options.body);
    });
  }
}

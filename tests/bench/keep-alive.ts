import { Agent, request } from 'node:https';

/** One kept TLS connection to a node, one request at a time. */
export class KeepAlive {
  readonly #target: { port: number; auth: string };
  readonly #agent: Agent;

  constructor(target: { port: number; ca: string; auth: string }) {
    this.#target = target;
    this.#agent = new Agent({ ca: target.ca, keepAlive: true, maxSockets: 1 });
  }

  /** Status of a GET, after its whole body has arrived. */
  async get(path: string): Promise<number> {
    return (await this.send('GET', path)).status;
  }

  /** One request without a body, to the end of the answer. */
  send(method: string, path: string): Promise<{ status: number; location: string | undefined }> {
    const { port, auth } = this.#target;
    return new Promise((resolve, reject) => {
      const asking = request({ host: '127.0.0.1', port, method, path, auth, agent: this.#agent }, (response) => {
        response.resume();
        response.once('end', () => resolve({ status: response.statusCode ?? 0, location: response.headers.location }));
        response.once('error', reject);
      });
      asking.once('error', reject);
      asking.end();
    });
  }

  /** Times of `count` requests, one after another, ms. Throws when one is not answered with 200. */
  async time(path: string, count: number): Promise<number[]> {
    const samples: number[] = [];
    for (let i = 0; i < count; i++) {
      const since = performance.now();
      const status = await this.get(path);
      samples.push(performance.now() - since);
      if (status !== 200) throw new Error(`GET ${path} answered ${status}`);
    }
    return samples;
  }

  close(): void {
    this.#agent.destroy();
  }
}

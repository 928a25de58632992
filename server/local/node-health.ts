import { Agent, request } from 'node:https';

/** `ready`: takes connections. `busy`: answers, but not for now (draining, no database). `down`: refuses. `silent`: does not answer. */
export type NodeHealth = 'ready' | 'busy' | 'down' | 'silent';

export interface NodeAddress {
  name: string;
  host: string;
  port: number;
}

const intervalMs = 250;
const timeoutMs = 750;

/** Asks one node's /readyz every 250 ms over a kept connection and tells each change. */
export class NodeHealthCheck {
  readonly node: NodeAddress;
  #health: NodeHealth = 'down';
  #since = performance.now();
  readonly #agent: Agent;
  readonly #onChange: (health: NodeHealth) => void;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(node: NodeAddress, options: { ca: string; onChange: (health: NodeHealth) => void }) {
    this.node = node;
    this.#agent = new Agent({ ca: options.ca, keepAlive: true, maxSockets: 1 });
    this.#onChange = options.onChange;
  }

  get health(): NodeHealth {
    return this.#health;
  }

  /** How long the node has been in its state, ms. */
  get sinceMs(): number {
    return performance.now() - this.#since;
  }

  start(): void {
    void this.#check();
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#agent.destroy();
  }

  /** A connection to the node failed just now: it counts as down until the next check. */
  reportRefused(): void {
    this.#set('down');
  }

  async #check(): Promise<void> {
    const health = await this.#ask();
    if (this.#stopped) return;
    this.#set(health);
    this.#timer = setTimeout(() => void this.#check(), intervalMs);
  }

  #ask(): Promise<NodeHealth> {
    return new Promise((resolve) => {
      const asking = request({ host: this.node.host, port: this.node.port, path: '/readyz', agent: this.#agent }, (response) => {
        response.resume();
        response.once('error', () => resolve('down'));
        response.once('end', () => resolve(response.statusCode === 200 ? 'ready' : 'busy'));
      });
      const timer = setTimeout(() => {
        resolve('silent');
        asking.destroy();
      }, timeoutMs);
      asking.once('error', () => resolve('down'));
      asking.once('close', () => {
        clearTimeout(timer);
        resolve('down');
      });
      asking.end();
    });
  }

  #set(health: NodeHealth): void {
    if (health === this.#health) return;
    this.#health = health;
    this.#since = performance.now();
    this.#onChange(health);
  }
}

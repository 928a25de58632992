import { randomUUID } from 'node:crypto';
import type { Bus, BusMessage } from './connection';

/**
 * Where agents answer this node: `director.<node id>.<agent id>.<request id>`, dispatched by the last token
 * (cloudfoundry/bosh src/bosh-director/lib/bosh/director/nats_rpc.rb). The reply subject travels inside the request's JSON.
 */
export class Inbox {
  readonly #bus: Pick<Bus, 'subscribe'>;
  readonly #nodeId: string;
  readonly #waiting = new Map<string, (message: BusMessage) => void>();
  #unsubscribe: (() => void) | undefined;

  /** `nodeId` is the uuid of this process, never a configured name: two nodes must not share an inbox. */
  constructor(bus: Pick<Bus, 'subscribe'>, nodeId: string) {
    this.#bus = bus;
    this.#nodeId = nodeId;
  }

  start(): void {
    this.#unsubscribe ??= this.#bus.subscribe(`director.${this.#nodeId}.>`, (message) => {
      this.#waiting.get(message.subject.slice(message.subject.lastIndexOf('.') + 1))?.(message);
    });
  }

  stop(): void {
    this.#unsubscribe?.();
    this.#unsubscribe = undefined;
    this.#waiting.clear();
  }

  /** A subject of its own for one request; `handler` hears every answer to it until `close`. */
  open(agentId: string, handler: (message: BusMessage) => void): { replyTo: string; close: () => void } {
    const requestId = randomUUID();
    this.#waiting.set(requestId, handler);
    return { replyTo: `director.${this.#nodeId}.${agentId}.${requestId}`, close: () => this.#waiting.delete(requestId) };
  }
}

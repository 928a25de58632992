import type { NodeTransport } from './node-transport';

/** An event of a stream; `data` is empty for `open` and `error`. */
export interface StreamEvent {
  data: string;
  lastEventId: string;
}

const reconnectMs = 500;

/**
 * Server-sent events in Node, as far as tRPC needs them: named events, ids, and reconnecting with the last id for as
 * long as the connection breaks. A status other than 200 ends it.
 * Protocol: https://html.spec.whatwg.org/multipage/server-sent-events.html
 */
export function createEventSource(transport: NodeTransport, headers: Record<string, string>) {
  return class NodeEventSource {
    readonly CONNECTING = 0;
    readonly OPEN = 1;
    readonly CLOSED = 2;
    readyState = 0;
    readonly #url: string;
    readonly #listeners = new Map<string, Set<(event: StreamEvent) => void>>();
    readonly #stop = new AbortController();
    #lastEventId = '';

    constructor(url: string) {
      this.#url = url;
      void this.#run();
    }

    addEventListener(type: string, listener: (event: StreamEvent) => void): void {
      const known = this.#listeners.get(type) ?? new Set();
      this.#listeners.set(type, known.add(listener));
    }

    removeEventListener(type: string, listener: (event: StreamEvent) => void): void {
      this.#listeners.get(type)?.delete(listener);
    }

    close(): void {
      this.readyState = this.CLOSED;
      this.#stop.abort();
    }

    async #run(): Promise<void> {
      while (!this.#stop.signal.aborted) {
        this.readyState = this.CONNECTING;
        const refused = await this.#connect().catch(() => false);
        if (this.#stop.signal.aborted) return;
        this.readyState = refused ? this.CLOSED : this.CONNECTING;
        this.#tell('error', '');
        if (refused) return;
        await new Promise((resolve) => setTimeout(resolve, reconnectMs));
      }
    }

    /** One connection until it ends; true when the server refused the stream. */
    async #connect(): Promise<boolean> {
      let refused = false;
      let name = 'message';
      let data: string[] = [];
      await transport.lines(this.#url, {
        headers: { ...headers, accept: 'text/event-stream', ...(this.#lastEventId === '' ? {} : { 'last-event-id': this.#lastEventId }) },
        signal: this.#stop.signal,
        onOpen: (status) => {
          refused = status !== 200;
          if (!refused) this.readyState = this.OPEN;
          if (!refused) this.#tell('open', '');
        },
        onLine: (line) => {
          const [field, value] = splitField(line);
          if (line === '') {
            if (data.length > 0) this.#tell(name, data.join('\n'));
            name = 'message';
            data = [];
          } else if (field === 'event') name = value;
          else if (field === 'data') data.push(value);
          else if (field === 'id') this.#lastEventId = value;
        },
      });
      return refused;
    }

    #tell(type: string, data: string): void {
      for (const listener of this.#listeners.get(type) ?? []) listener({ data, lastEventId: this.#lastEventId });
    }
  };
}

function splitField(line: string): [string, string] {
  const colon = line.indexOf(':');
  return colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')];
}

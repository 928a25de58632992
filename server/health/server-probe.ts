import { connect } from 'node:net';
import { z } from 'zod';
import type { Clock } from '../core/clock';
import type { Log } from '../core/log';
import type { ServerState } from './paths';

/** ms between the ends and begins of two looks at a server. */
const probeEveryMs = 500;
/** A server that says nothing for so long has not answered. */
const probeTimeoutMs = 1_500;
/** A look that takes longer than this makes a server doubtful before it has failed. */
const doubtMs = 300;
/** So many failures in a row make a server lost. */
const failuresToLose = 2;

/** What a server says of itself; the id is another one after every start. */
const infoSchema = z.object({ server_name: z.string().optional(), server_id: z.string().optional() });
type ServerInfo = z.infer<typeof infoSchema>;

interface Watched {
  /** `host:port` */
  address: string;
  name: string | undefined;
  id: string | undefined;
  failures: number;
  okAt: number;
  lostAt: number | undefined;
  backAt: number;
  /** Begin of the look that is under way. */
  lookingSince: number | undefined;
}

export interface ServerProbeOptions {
  /** `nats://host:port` of every server. */
  urls: readonly string[];
  clock: Clock;
  log: Log;
  /** A server was lost or found again. */
  onChange: () => void;
}

/**
 * Looks at every NATS server all the time: connects and reads the line that a server sends first. Servers that swallow packets, whose
 * clients notice nothing for minutes, are noticed within seconds. Times are monotonic ms.
 */
export class ServerProbe {
  readonly #options: ServerProbeOptions;
  readonly #servers: Watched[];
  readonly #stopping = new AbortController();
  #loops: Promise<void>[] = [];
  #names: ReadonlyMap<string, string> = new Map();

  constructor(options: ServerProbeOptions) {
    this.#options = options;
    this.#servers = options.urls.map((url) => ({
      address: addressOf(url), name: undefined, id: undefined, failures: 0, okAt: Number.NEGATIVE_INFINITY, lostAt: undefined, backAt: Number.NEGATIVE_INFINITY, lookingSince: undefined,
    }));
  }

  start(): void {
    this.#loops = this.#servers.map((server) => this.#watch(server));
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#loops);
  }

  /** Names by `host:port`, for servers that have not said their own. */
  setNames(names: ReadonlyMap<string, string>): void {
    this.#names = names;
  }

  /** Every server by name; by address while the name is not known. */
  states(now: number): Map<string, ServerState> {
    return new Map(this.#servers.map((server) => [server.name ?? this.#names.get(server.address) ?? server.address, stateOf(server, now)]));
  }

  /** The server at `host:port`. */
  stateOf(address: string, now: number): ServerState | undefined {
    const server = this.#servers.find((candidate) => candidate.address === address);
    return server && stateOf(server, now);
  }

  async #watch(server: Watched): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      const startedAt = clock.monotonic();
      server.lookingSince = startedAt;
      try {
        this.#succeed(server, startedAt, await readInfo(server.address, signal));
      } catch (error) {
        if (!signal.aborted) this.#fail(server, error);
      }
      server.lookingSince = undefined;
      await clock.sleep(probeEveryMs, signal).catch(() => undefined);
    }
  }

  #succeed(server: Watched, startedAt: number, info: ServerInfo): void {
    // A restart may be over before it is noticed as a loss; its clients had to connect again all the same.
    const restarted = server.id !== undefined && info.server_id !== undefined && server.id !== info.server_id;
    server.failures = 0;
    server.okAt = startedAt;
    server.name = info.server_name ?? server.name;
    server.id = info.server_id ?? server.id;
    if (server.lostAt === undefined && !restarted) return;
    server.lostAt = undefined;
    server.backAt = this.#options.clock.monotonic();
    this.#options.log.info('nats-server-back', { server: server.name ?? server.address });
    this.#options.onChange();
  }

  #fail(server: Watched, error: unknown): void {
    server.failures++;
    if (server.lostAt !== undefined || server.failures < failuresToLose) return;
    server.lostAt = this.#options.clock.monotonic();
    this.#options.log.warn('nats-server-lost', { server: server.name ?? server.address, error: error instanceof Error ? error.message : String(error) });
    this.#options.onChange();
  }
}

/** `host:port` of a server's URL. */
function addressOf(url: string): string {
  const { hostname, port } = new URL(url);
  return `${hostname}:${port || '4222'}`;
}

function stateOf({ failures, okAt, lostAt, backAt, lookingSince }: Watched, now: number): ServerState {
  const waiting = lookingSince !== undefined && now - lookingSince > doubtMs;
  return { healthy: failures === 0 && !waiting, okAt, lostAt, backAt };
}

/** The first line of a server. Rejects when it cannot be reached or says nothing in time. */
function readInfo(address: string, signal: AbortSignal): Promise<ServerInfo> {
  return new Promise((resolve, reject) => {
    const { hostname, port } = new URL(`nats://${address}`);
    const socket = connect({ host: hostname.replace(/^\[(.*)\]$/, '$1'), port: Number(port) });
    let text = '';
    const settle = (act: () => void) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      socket.destroy();
      act();
    };
    const abort = () => settle(() => reject(new Error('stopped')));
    const timer = setTimeout(() => settle(() => reject(new Error(`no answer within ${probeTimeoutMs} ms`))), probeTimeoutMs);
    signal.addEventListener('abort', abort, { once: true });
    socket.on('data', (chunk) => {
      text += chunk.toString('utf8');
      const end = text.indexOf('\r\n');
      if (end >= 0) settle(() => resolve(infoIn(text.slice(0, end))));
      else if (text.length > 65_536) settle(() => reject(new Error('it speaks, but not as a NATS server')));
    });
    socket.once('error', (error) => settle(() => reject(error)));
    socket.once('close', () => settle(() => reject(new Error('it closed the connection'))));
  });
}

function infoIn(line: string): ServerInfo {
  if (!line.startsWith('INFO ')) return {};
  try {
    return infoSchema.parse(JSON.parse(line.slice(5)));
  } catch {
    return {};
  }
}

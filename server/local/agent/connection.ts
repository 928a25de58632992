import type { PeerCertificate } from 'node:tls';
import { connect, type ConnectionOptions, type NatsConnection } from '@nats-io/transport-node';
import type { Log } from '../../core/log';
import type { Dispatcher } from './dispatcher';
import { parseRequest } from './protocol';
import type { ConnectionSettings } from './settings';

const retryMinMs = 200;
const retryMaxMs = 1_500;
const serverName = /^[a-zA-Z0-9*-]*\.nats\.bosh-internal$/;

export interface AgentConnectionDeps {
  agentId: string;
  dispatcher: Dispatcher;
  log: Log;
  /** Builds a heartbeat, as JSON text; none is sent when it gives undefined. */
  heartbeat: () => Promise<string | undefined>;
  heartbeatIntervalMs: number;
  /** Whether a request for a method is taken at all; every one unless given. */
  accepts?: (method: string) => boolean;
}

/**
 * An agent's place on the bus: it serves `agent.<id>`, publishes heartbeats (the first as soon as it is connected) and never
 * stops trying to be connected, whatever the servers answer. New settings are connected to before the old connection is given up,
 * so that no request is lost on the way.
 */
export class AgentConnection {
  readonly #deps: AgentConnectionDeps;
  #current: NatsConnection | undefined;
  #stopped = false;
  /** Counts changes of the settings; a loop for older settings ends. */
  #generation = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: AgentConnectionDeps) {
    this.#deps = deps;
  }

  start(settings: ConnectionSettings): void {
    this.#timer = setInterval(() => void this.#beat(), this.#deps.heartbeatIntervalMs);
    void this.#keepConnected(settings, this.#generation);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    const current = this.#current;
    this.#current = undefined;
    await current?.close();
  }

  /** Moves to other settings; resolves when connected with them, rejects after `timeoutMs` while it goes on trying. */
  async move(settings: ConnectionSettings, timeoutMs: number): Promise<void> {
    this.#generation += 1;
    const connected = this.#keepConnected(settings, this.#generation);
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new Error(`Could not connect with the new settings within ${timeoutMs / 1000} seconds; the agent goes on trying`)), timeoutMs);
    });
    try {
      await Promise.race([connected, timeout]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Publishes for the health monitor; lost when there is no connection. */
  publish(subject: string, payload: string): void {
    try {
      this.#current?.publish(subject, payload);
    } catch (error) {
      this.#deps.log.warn('publish-failed', { subject, error });
    }
  }

  /** Waits until what was published is at the server. */
  async flush(): Promise<void> {
    await this.#current?.flush().catch(() => undefined);
  }

  /** Resolves with the first connection of this generation; a later loss is repaired in the background. */
  async #keepConnected(settings: ConnectionSettings, generation: number): Promise<void> {
    const { log } = this.#deps;
    for (let waitMs = retryMinMs; this.#isWanted(generation); waitMs = Math.min(waitMs * 2, retryMaxMs)) {
      try {
        const connection = await connect(connectionOptions(settings, this.#deps.agentId));
        if (!this.#isWanted(generation)) {
          await connection.close();
          return;
        }
        await this.#adopt(connection);
        void this.#reconnectWhenClosed(connection, settings, generation);
        return;
      } catch (error) {
        log.warn('nats-connect-failed', { message: error instanceof Error ? error.message : String(error), retry_ms: waitMs });
        await new Promise((resolve) => {
          setTimeout(resolve, waitMs * (0.75 + Math.random() / 2));
        });
      }
    }
  }

  #isWanted(generation: number): boolean {
    return !this.#stopped && generation === this.#generation;
  }

  async #adopt(connection: NatsConnection): Promise<void> {
    const { agentId, dispatcher, log } = this.#deps;
    connection.subscribe(`agent.${agentId}`, {
      callback: (error, message) => {
        if (error) return log.warn('subscription-failed', { message: error.message });
        void this.#serve(dispatcher, message.string());
      },
    });
    await connection.flush();
    const previous = this.#current;
    this.#current = connection;
    log.info('nats-connected', { server: connection.getServer() });
    void previous?.drain().catch(() => undefined);
    void this.#watch(connection);
    void this.#beat();
  }

  async #serve(dispatcher: Dispatcher, payload: string): Promise<void> {
    const accepts = this.#deps.accepts;
    if (accepts !== undefined && !accepts(parseRequest(payload)?.method ?? '')) return;
    const reply = await dispatcher.handle(payload);
    if (reply !== undefined) this.publish(reply.subject, reply.payload);
  }

  async #reconnectWhenClosed(connection: NatsConnection, settings: ConnectionSettings, generation: number): Promise<void> {
    const error = await connection.closed();
    if (!this.#isWanted(generation) || this.#current !== connection) return;
    this.#deps.log.warn('nats-closed', { message: error?.message });
    this.#current = undefined;
    await this.#keepConnected(settings, generation);
  }

  async #watch(connection: NatsConnection): Promise<void> {
    for await (const status of connection.status()) {
      if (status.type === 'reconnect') void this.#beat();
      // A server in lame-duck mode is about to leave: move now rather than lose requests then.
      if (status.type === 'ldm') await connection.reconnect().catch(() => undefined);
      if (status.type === 'disconnect' || status.type === 'reconnect' || status.type === 'error') this.#deps.log.info('nats-status', { status: status.type });
    }
  }

  async #beat(): Promise<void> {
    if (this.#current === undefined) return;
    try {
      const heartbeat = await this.#deps.heartbeat();
      if (heartbeat !== undefined) this.publish(`hm.agent.heartbeat.${this.#deps.agentId}`, heartbeat);
    } catch (error) {
      this.#deps.log.warn('heartbeat-failed', { error });
    }
  }
}

function connectionOptions(settings: ConnectionSettings, agentId: string): ConnectionOptions {
  const tls = {
    ca: settings.cert.ca,
    cert: settings.cert.certificate,
    key: settings.cert.private_key,
    minVersion: 'TLSv1.2',
    checkServerIdentity,
  };
  return {
    servers: settings.urls,
    name: `agent ${agentId}`,
    tls,
    timeout: 2_000,
    pingInterval: 5_000,
    maxPingOut: 2,
    maxReconnectAttempts: -1,
    reconnectTimeWait: 250,
    // The agent may be authorised a moment after it starts; an authorisation error is then no reason to give up.
    ignoreAuthErrorAbort: true,
  };
}

/**
 * A NATS server is known by its certificate's name under the CA of the settings, not by the host in the URL, which may be an address
 * (the stock agent checks the same name: cloudfoundry/bosh-agent mbus/nats_handler.go).
 */
function checkServerIdentity(_host: string, certificate: PeerCertificate): Error | undefined {
  const names = [certificate.subject.CN ?? []].flat();
  if (names.some((name) => serverName.test(name))) return undefined;
  return new Error(`The NATS server's certificate is for '${names.join(', ')}', not for a name that ends in .nats.bosh-internal`);
}

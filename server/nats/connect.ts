import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { connect, type NatsConnection, type NodeConnectionOptions } from '@nats-io/transport-node';

/** Where and as whom to connect. */
export interface BusCredentials {
  /** Shown by the NATS servers' monitoring, e.g. `directorate A`. */
  name: string;
  /** `nats://host:port` of every server. */
  urls: readonly string[];
  /** PEM of the CA that signed the servers' certificates. */
  ca: string;
  /** PEM of the client certificate: its subject is the NATS user. */
  certificate: string;
  /** PEM of its key. */
  privateKey: string;
}

/** Pause between tries to connect, ms. */
export const retryMs = 250;

/** Connects once; a stop does not wait for a server that hangs. */
export async function connectOnce(options: NodeConnectionOptions, signal: AbortSignal): Promise<NatsConnection> {
  const connecting = connect(options);
  let onAbort: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    const connection = await Promise.race([connecting, aborted]);
    if (!signal.aborted) return connection;
    throw signal.reason;
  } catch (error) {
    if (signal.aborted) connecting.then((late) => late.close(), () => undefined);
    throw error;
  } finally {
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}

/**
 * A hung server is noticed by two unanswered pings (about 5 s), a redial of it is given up after 1.5 s.
 * Every client begins at another server, so that the load is spread; from there the order is fixed.
 */
export function connectionOptions(options: BusCredentials): NodeConnectionOptions {
  const start = Math.floor(Math.random() * options.urls.length);
  return {
    name: options.name,
    servers: [...options.urls.slice(start), ...options.urls.slice(0, start)],
    noRandomize: true,
    ignoreClusterUpdates: true,
    timeout: 1_500,
    pingInterval: 2_000,
    maxPingOut: 2,
    reconnect: true,
    maxReconnectAttempts: -1,
    reconnectTimeWait: retryMs,
    reconnectJitter: 50,
    reconnectJitterTLS: 50,
    // Users change while we run: a refusal now does not mean a refusal a second later.
    ignoreAuthErrorAbort: true,
    tls: { ca: options.ca, cert: options.certificate, key: options.privateKey, ...serverCheck(options.urls) },
  };
}

/**
 * The certificate must name one of the configured hosts. The client library knows no server name for an address
 * without a name and would compare with `localhost`.
 */
function serverCheck(urls: readonly string[]): { checkServerIdentity: (name: string, certificate: PeerCertificate) => Error | undefined } {
  const hosts = urls.map((url) => new URL(url).hostname.replace(/^\[(.*)\]$/, '$1'));
  return {
    checkServerIdentity: (name, certificate) => {
      if (hosts.some((host) => checkServerIdentity(host, certificate) === undefined)) return undefined;
      return checkServerIdentity(hosts[0] ?? name, certificate);
    },
  };
}

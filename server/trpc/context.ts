import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Connections } from '../../db/client';
import type { IdentityProvider } from '../auth/identity';
import type { Principal } from '../auth/permissions';
import { findSession } from '../auth/sessions';
import type { Blobstore } from '../blobstore/blobstore';
import type { Notifications } from '../cluster/notifications';
import type { Log } from '../core/log';
import type { VariableDeps } from '../deploy/variables';
import type { FleetView } from '../health/fleet-view';
import type { LoadDeps } from '../deploy/load';
import type { RenderDeps } from '../deploy/render-plan';
import type { SharedReads } from './shared-reads';

/** One NATS server as this node's client sees it. */
export interface NatsServerStatus {
  /** `nats://host:port`. */
  url: string;
  /** The client's connection is to this server. */
  connected: boolean;
}

/** What an agent says about its VM. */
export interface AgentAnswer {
  /** BOSH's word: running, failing, stopped, unknown, … */
  jobState: string;
  processes: readonly { name: string; state: string }[];
}

/** What the procedures use; made in director.ts. */
export interface TrpcDeps {
  connections: Connections;
  notifications: Notifications;
  blobstore: Blobstore;
  log: Log;
  /** This process; `NodeRegistration` fits. */
  node: { readonly id: string; readonly name: string };
  director: { name: string; uuid: string; version: string; cpi: string };
  natsStatus(): { servers: readonly NatsServerStatus[] };
  identity: IdentityProvider;
  /** Told of errors that nobody expected. */
  onException?: (error: unknown) => void;
  /** Asks an agent for its state; rejects when it does not answer in `timeoutMs`. */
  agentState(agentId: string, timeoutMs: number): Promise<AgentAnswer>;
  /** What this node has heard from agents. */
  fleet: FleetView;
  /** Of the configuration: `health_monitor.resurrector.enabled`, and id and name of each of `health_monitor.plugins`. */
  monitor: { resurrector: boolean; plugins: readonly { id: string; name: string }[] };
  /** NATS servers that agents get without a move, and `natsConfigSha1` of this node. */
  bus: { urls: readonly string[]; caSha1: string };
  /** What previews of deploys ask; they can neither call the cloud nor give certificates. */
  preview: LoadDeps & RenderDeps & VariableDeps;
}

/** Per request: who asks, and what the procedures use. */
export interface TrpcContext {
  deps: TrpcDeps;
  shared: SharedReads;
  principal: Principal | undefined;
  /** Token of the cookie session; undefined without one. */
  sessionToken: string | undefined;
  /** The client sent `x-directorate: 1`, which a foreign page cannot make a browser send. */
  ownClient: boolean;
  /** Sets or clears (undefined) the session cookie of the answer. */
  setSessionCookie(session: { token: string; expiresAt: Date } | undefined): void;
}

/** `__Host-`: only this origin can set it, and only over TLS. */
const cookieName = '__Host-directorate';

/** Knows the caller by the session cookie, else by Basic credentials. */
export async function createContext({ deps, shared }: { deps: TrpcDeps; shared: SharedReads }, req: IncomingMessage, res: ServerResponse): Promise<TrpcContext> {
  const token = readCookie(req.headers.cookie, cookieName);
  const session = token === undefined ? undefined : await findSession({ db: deps.connections.db, identity: deps.identity }, token);
  return {
    deps,
    shared,
    principal: session?.principal ?? (await deps.identity.authenticate(req.headers.authorization)),
    sessionToken: session ? token : undefined,
    ownClient: req.headers['x-directorate'] === '1',
    setSessionCookie: (next) => {
      const expires = next?.expiresAt ?? new Date(0);
      res.setHeader('Set-Cookie', `${cookieName}=${next?.token ?? ''}; Path=/; HttpOnly; Secure; SameSite=Strict; Expires=${expires.toUTCString()}`);
    },
  };
}

function readCookie(header: string | undefined, name: string): string | undefined {
  for (const part of (header ?? '').split(';')) {
    const at = part.indexOf('=');
    if (at > 0 && part.slice(0, at).trim() === name) return part.slice(at + 1).trim() || undefined;
  }
  return undefined;
}

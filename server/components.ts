import type { Database } from '../db/client';
import { createBusMover } from './agents/bus-mover';
import type { AgentClient } from './agents/client';
import type { Blobstore } from './blobstore/blobstore';
import type { Component } from './cluster/component';
import type { Heart } from './cluster/heart';
import type { Notifications } from './cluster/notifications';
import { systemClock } from './core/clock';
import type { Config } from './core/config';
import type { Log } from './core/log';
import { createSweeper } from './deploy/sweep';
import { createDnsPublisher } from './dns/publisher';
import type { HealthListener } from './health/listener';
import { createHealthMonitor } from './health/monitor';
import { createAlertDelivery } from './health/plugins/alert-delivery';
import { createPlugins } from './health/plugins/create-plugins';
import type { Bus } from './nats/connection';
import type { AgentIssuer } from './nats/credentials';
import { scheduleEntries } from './scheduler/entries';
import { createScheduler } from './scheduler/scheduler';
import { createCompaction } from './tasks/compaction';
import { createReaper } from './tasks/reaper';

export interface ComponentDeps {
  config: Config;
  nodeName: string;
  db: Database;
  heart: Heart;
  blobstore: Blobstore;
  notifications: Notifications;
  agents: AgentClient;
  bus: Bus;
  listener: HealthListener;
  issuer: AgentIssuer;
  /** SHA-1 of the NATS CA that this node gives to agents. */
  natsConfigSha1: string;
  onNodeLoss: (type: string) => 'converge' | 'fail';
  onTakeover: (type: string) => void;
  log: Log;
}

/** Every duty of which the cluster has one actor. Throws ConfigError for a schedule that cannot be. */
export function createComponents(deps: ComponentDeps): Component[] {
  const { config, db, agents, listener, bus, blobstore, notifications, heart } = deps;
  const { health_monitor: health, local_dns: dns } = config;
  return [
    createReaper(deps),
    createCompaction(deps),
    createSweeper(db),
    createHealthMonitor({ db, listener, agents, canAsk: () => bus.isConnected(), contactMs: () => heart.contactMs(), settings: health, clock: systemClock }),
    createAlertDelivery({ db, notifications, heartbeats: listener, createPlugins: () => createPlugins(health.plugins, { log: deps.log }) }),
    createScheduler({ db, entries: scheduleEntries(config.scheduler, new Date(systemClock.now())) }),
    ...(dns.enabled ? [createDnsPublisher({ db, blobstore, agents, bus, notifications, settings: { domain: dns.domain, includeIndex: dns.include_index, fanOut: dns.fan_out } })] : []),
    createBusMover({ db, agents, permanentCertificate: (agentId) => deps.issuer.permanent(agentId), caSha1: deps.natsConfigSha1, trustedCerts: config.agent.trusted_certs, nodeName: deps.nodeName, isConnected: () => bus.isConnected() }),
  ];
}

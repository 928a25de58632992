import { homedir, networkInterfaces } from 'node:os';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { connect, type Connections, type Database } from '../db/client';
import { migrate, readMigrations } from '../db/migrate';
import { version } from '../package.json';
import { findBusUrls } from './agents/bus-move-store';
import { AgentClient } from './agents/client';
import { callerWithoutTask } from './agents/agent';
import { createRestHandler } from './api/handle';
import { routes } from './api/routes';
import { createLocalIdentity } from './auth/identity';
import { openBlobstore } from './blobstore/open-blobstore';
import type { Blobstore } from './blobstore/blobstore';
import { ComponentRunner } from './cluster/component-runner';
import { Heart } from './cluster/heart';
import { listNodeAddresses, NodeRegistration } from './cluster/nodes';
import { Notifications } from './cluster/notifications';
import { createComponents } from './components';
import { systemClock } from './core/clock';
import type { Config } from './core/config';
import { sha1Hex } from './core/digest';
import type { Log } from './core/log';
import { loadCpis } from './configs/load-cpis';
import { findCurrentConfig } from './configs/store';
import { isHash, parseYaml } from './core/yaml';
import type { Cpi } from './cpi/cpi';
import { createCpis } from './cpi/client';
import { allCpis, type CpiNames } from './cpi/configured';
import { createDiskCalls } from './cpi/disk-calls';
import { createNetworkCalls } from './cpi/network-calls';
import { createVmCalls } from './cpi/vm-calls';
import type { DeployDeps } from './deploy/ports';
import { HealthListener } from './health/listener';
import { createMonitorServer } from './health/http';
import { pluginKey } from './health/plugins/create-plugins';
import { listInstancesWithVms } from './instances/store';
import { createMetricsHandler } from './metrics/handler';
import { createMetrics } from './metrics/metrics';
import { awaitAuthorised } from './nats/await-authorised';
import { natsConfigSha1 } from './nats/ca-bundle';
import { Bus } from './nats/connection';
import { createAgentIssuer, type AgentIssuer } from './nats/credentials';
import { Detours } from './nats/detours';
import { deleteRelease } from './task-types/delete-release';
import { deleteStemcell } from './task-types/delete-stemcell';
import { cleanUp } from './task-types/cleanup';
import { attachDiskTask } from './task-types/attach-disk';
import { deleteDeploymentTask, sweepAbandonedVmsTask, updateDeployment } from './task-types/deployments';
import { deleteOrphanDisks, orphanDisk, scheduledOrphanedDiskCleanup } from './task-types/orphan-disks';
import { exportRelease } from './task-types/export-release';
import { deleteOrphanNetworks, scheduledOrphanedNetworkCleanup } from './task-types/orphaned-networks';
import { bind, createRegistry, type Registry } from './task-types/registry';
import { retrieveVmStats } from './task-types/retrieve-vm-stats';
import { scanAndFixTaskType } from './task-types/scan-and-fix';
import { scheduledDnsBlobsCleanup, scheduledDnsTombstoneCleanup } from './task-types/scheduled-dns-cleanup';
import { scheduledEventsCleanup } from './task-types/scheduled-events-cleanup';
import { scheduledOrphanedVmCleanup } from './task-types/scheduled-orphaned-vm-cleanup';
import { scheduledRecordsCleanup } from './task-types/scheduled-records-cleanup';
import { scheduledTasksCleanup } from './task-types/scheduled-tasks-cleanup';
import { createSnapshot, deleteDeploymentSnapshots, deleteSnapshot, snapshotDeployment, snapshotDeployments } from './task-types/snapshots';
import { updateRelease } from './task-types/update-release';
import type { StemcellCloud } from './task-types/stemcell-cloud';
import { updateStemcell } from './task-types/update-stemcell';
import type { TaskContext } from './tasks/context';
import { streamSizes } from './tasks/store';
import { WorkerPool } from './tasks/worker-pool';
import { Renderer } from './templates/renderer';
import { createTrpcHandler } from './trpc/handler';
import { appRouter } from './trpc/router';
import type { VariableBackend } from './variables/backend';
import { resolveCpiConfig } from './variables/documents';
import { createVariableBackend } from './variables/open-backend';

type Handler = (req: IncomingMessage, res: ServerResponse) => void;

/** A director node without its sockets. */
export interface Director {
  /** False on nodes that only work. */
  servesApi: boolean;
  rest: Handler;
  trpc: Handler;
  metrics: Handler;
  /** To be told of every request before it is answered. */
  observe: Handler;
  /** Registers the node and starts its loops. */
  start(): Promise<void>;
  /** It listens now. */
  ready(): void;
  /** It takes no new connections from now on. */
  drain(): void;
  /** Gives leases and tasks to other nodes; requests are still answered. */
  handOver(): Promise<void>;
  /** Ends everything; after `handOver`, when no request is left. */
  stop(): Promise<void>;
  /** Why the node should get no requests; empty when it should. */
  readiness(): Promise<string[]>;
}

/** The composition root: builds every part once. `root` is the folder of the installation (dist, db/migrations, .next). */
export async function createDirector(config: Config, log: Log, root: string): Promise<Director> {
  const connections = connect({ url: config.database.url, ca: config.database.ca, poolSize: config.database.pool_size, onConnectionError: (error) => log.debug('database-connection-lost', { error: error.message }) });
  await migrateDatabase(connections, log, root);
  const uuid = await directorUuid(connections.db);
  const blobstore = await openBlobstore(config.blobstore);
  const node = new NodeRegistration({ name: config.nodeName, url: `https://${advertisedHost(config)}:${config.listen.port}`, roles: [...config.roles], version, addresses: hostAddresses() });
  const heart = new Heart(connections, log);
  heart.register(node);
  const notifications = new Notifications(connections, log);
  const connectAs = (name: string, identity: { certificate: string; private_key: string }) =>
    new Bus({ name: `directorate ${name}`, urls: config.nats.urls, ca: config.nats.ca, certificate: identity.certificate, privateKey: identity.private_key, log });
  const bus = connectAs(node.name, config.nats.director);
  const monitorBus = connectAs(`${node.name} health monitor`, config.nats.health_monitor);
  const listener = new HealthListener({ bus: monitorBus, db: connections.db, notifications, natsUrls: config.nats.urls, intervals: config.health_monitor.intervals, clock: systemClock, log });
  const metrics = createMetrics({
    connections, node, version, fleet: () => listener.fleet, log, ownAddresses: () => ownAddresses(config, connections.db),
    buses: { director: () => bus.status(), health_monitor: () => monitorBus.status() },
    paths: { routes: routes.map((route) => route.path), procedures: Object.keys(appRouter._def.procedures) },
  });
  const detours = new Detours({ name: `directorate ${node.name}`, urls: config.nats.urls, ca: config.nats.ca, certificate: config.nats.director.certificate, privateKey: config.nats.director.private_key }, log);
  const agents = new AgentClient({ bus, detours, nodeId: node.id, blobs: blobstore, onRpc: metrics.onRpc });
  const renderer = new Renderer({ workerPath: join(root, 'dist', 'render-worker.cjs'), log });
  const variables = createVariableBackend(connections.db, config);
  const cpis = createCpis({ path: config.cpi.path, preferredApiVersion: config.cpi.preferred_api_version, directorUuid: uuid, environment: { TMPDIR: config.tmp_dir, HOME: homedir() }, configured: () => loadCpis(connections.db), interpolate: (command, caller) => resolveCpiConfig(variables, command, (value, placeholder) => caller.secrets?.addAll(value, placeholder)), onCall: metrics.onCpiCall });
  const issuer = createAgentIssuer(config.nats.ca, config.nats.ca_private_key);
  const caSha1 = natsConfigSha1(config.nats.ca, config.nats.ca_private_key);
  const deploys = deployDeps({ config, db: connections.db, blobstore, agents, renderer, variables, cpis, issuer, caSha1, uuid, log });
  const registry = createCatalogue({ config, deploys, blobstore, agents, bus, cpis });
  const pool = new WorkerPool(config.workers, (ctx, type, payload) => registry.perform(ctx, type, payload), { connections, notifications, heart, node, blobstore, log, version });
  const components = createComponents({
    config, nodeName: node.name, db: connections.db, heart, blobstore, notifications, agents, bus, listener, issuer, natsConfigSha1: caSha1, onNodeLoss: (type) => registry.onNodeLoss(type), onTakeover: metrics.onTakeover, log,
  });
  const runner = new ComponentRunner(components, { connections, notifications, heart, node, log });
  node.setVitals(() => ({ tasks: pool.size }));
  const identity = createLocalIdentity(config.auth.users, systemClock);
  const { host, port } = config.health_monitor.http;
  const monitorServer = port === 0 ? undefined : createMonitorServer({ host, port, fleet: listener.fleet, clock: systemClock });
  const facts = { name: config.name, uuid, version, cpi: config.cpi.name };
  const has = (role: Config['roles'][number]) => config.roles.includes(role);
  return {
    servesApi: has('api'),
    rest: createRestHandler({
      db: connections.db, blobstore, variables, identity, clock: systemClock, log, onException: metrics.onException, autoFixStatefulNodes: config.health_monitor.resurrector.auto_fix_stateful_nodes,
      director: {
        ...facts, localDns: config.local_dns, revision: '00000000',
        configServer: config.config_server ?? (config.variables ? {} : undefined), certificates: certificatesOf(config),
      },
    }),
    metrics: createMetricsHandler({ metrics, identity, directorUuid: uuid, log }),
    observe: metrics.observeHttp,
    trpc: createTrpcHandler({
      connections, notifications, blobstore, log, node, identity, director: facts, fleet: listener.fleet, onException: metrics.onException,
      monitor: { resurrector: config.health_monitor.resurrector.enabled, plugins: config.health_monitor.plugins.map((plugin) => ({ id: pluginKey(plugin), name: plugin.name })) },
      bus: { urls: config.nats.agent_urls ?? config.nats.urls, caSha1 },
      preview: deploys,
      natsStatus: () => ({ servers: config.nats.urls.map((url) => ({ url, connected: bus.status().server === url.replace('nats://', '') })) }),
      agentState: async (agentId, timeoutMs) => {
        const state = await agents.agentFor({ id: agentId, name: agentId }, callerWithoutTask(AbortSignal.timeout(timeoutMs))).getState({ timeoutMs });
        return { jobState: state.job_state, processes: state.processes ?? [] };
      },
    }),
    start: async () => {
      notifications.start();
      bus.start();
      agents.start();
      monitorBus.start();
      listener.start();
      // Its port may belong to another node of this machine: that is no reason to do without a director.
      await monitorServer?.start().catch((error: unknown) => log.error('health-monitor-endpoints', { host, port, error: error instanceof Error ? error.message : String(error), hint: 'give each node of a machine its own health_monitor.http.port (DIRECTORATE_HM_PORT)' }));
      await heart.start();
      if (has('components')) await runner.start();
      if (has('worker')) pool.start();
    },
    ready: () => {
      node.setState('ready');
      void heart.beat().catch(() => undefined);
    },
    drain: () => {
      node.setState('draining');
      void heart.beat().catch(() => undefined);
    },
    handOver: async () => {
      await Promise.all([has('components') ? runner.stop() : undefined, has('worker') ? pool.stop() : undefined]);
    },
    stop: async () => {
      await renderer.stop();
      agents.stop();
      await monitorServer?.stop();
      await listener.stop();
      await Promise.all([bus.stop(), detours.stop(), monitorBus.stop(), metrics.stop()]);
      await notifications.stop();
      await heart.stop();
      await node.deregister(connections).catch(() => undefined);
      await connections.close();
    },
    readiness: async () => [
      ...(node.state === 'ready' ? [] : [`node is ${node.state}`]),
      ...(heart.contactMs() > 0 ? [] : ['no contact with the database']),
      ...(bus.isConnected() ? [] : ['no contact with NATS']),
    ],
  };
}

/** Certificates of the configuration whose end operators watch, under BOSH's names. */
function certificatesOf({ listen, nats, config_server: configServer }: Config): { name: string; pem: string }[] {
  const all = [
    { name: 'director.ssl.cert', pem: listen.certificate }, { name: 'nats.tls.ca', pem: nats.ca }, { name: 'nats.tls.director.certificate', pem: nats.director.certificate },
    { name: 'director.config_server.ca_cert', pem: configServer?.ca }, { name: 'director.config_server.uaa.ca_cert', pem: configServer?.uaa.ca },
  ];
  return all.flatMap(({ name, pem }) => (pem === undefined ? [] : [{ name, pem }]));
}

async function migrateDatabase(connections: Connections, log: Log, root: string): Promise<void> {
  const client = await connections.dedicated();
  try {
    const { applied } = await migrate(client, await readMigrations(join(root, 'db', 'migrations')));
    if (applied.length > 0) log.info('migrated', { applied });
  } finally {
    await client.end();
  }
}

async function directorUuid(db: Database): Promise<string> {
  await db.execute(sql`INSERT INTO director_settings (key, value) VALUES ('uuid', to_jsonb(gen_random_uuid()::text)) ON CONFLICT DO NOTHING`);
  const { rows } = await db.execute<{ value: string }>(sql`SELECT value FROM director_settings WHERE key = 'uuid'`);
  return rows[0]?.value ?? '';
}

/** Address under which other machines reach this node. */
function advertisedHost(config: Config): string {
  if (config.listen.host !== '0.0.0.0' && config.listen.host !== '::') return config.listen.host;
  return hostAddresses()[0] ?? '127.0.0.1';
}

/** This host's addresses without loopback and link-local ones: never given to an instance. */
function hostAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) => list ?? []).filter((one) => !one.internal && !one.address.startsWith('169.254.') && !one.address.startsWith('fe80')).map((one) => one.address);
}

/** What belongs to the director and never to an instance: all nodes' machines, and what the configuration keeps for it. */
async function ownAddresses(config: Config, db: Database): Promise<string[]> {
  return [...new Set([...hostAddresses(), ...config.networks.reserved_addresses, ...(await listNodeAddresses(db))])];
}

interface DeployParts {
  config: Config;
  db: Database;
  blobstore: Blobstore;
  agents: AgentClient;
  renderer: Renderer;
  variables: VariableBackend;
  cpis: ReturnType<typeof createCpis>;
  issuer: AgentIssuer;
  caSha1: string;
  uuid: string;
  log: Log;
}

function deployDeps({ config, db, blobstore, agents, renderer, variables, cpis, issuer, caSha1, uuid, log }: DeployParts): DeployDeps {
  const agentBlobstores = agentBlobstoreSettings(config);
  return {
    db, blobstore, agents, renderer, variables,
    cpi: (cpiName) => createVmCalls(cpis, { maxCreateTries: config.max_vm_create_tries, cpiName }),
    disks: createDiskCalls(cpis),
    networks: config.networks.enable_cpi_management ? createNetworkCalls(cpis) : undefined,
    nats: {
      bootstrapCertificate: (agentId) => issuer.bootstrap(agentId),
      permanentCertificate: (agentId) => issuer.permanent(agentId),
      movedUrls: (az) => findBusUrls(db, az ?? undefined),
      awaitAuthorised: (ctx) => awaitAuthorised(db, { signal: ctx.signal, warn: (text) => log.warn('nats-authorisation', { text }) }),
    },
    settings: {
      director: {
        name: config.name, uuid, dnsDomain: config.local_dns.domain, localDns: config.local_dns.enabled, useDnsAddresses: config.local_dns.use_dns_addresses, trustedCertsSha1: sha1Hex(config.agent.trusted_certs), natsConfigSha1: caSha1, blobstoreConfigSha1: sha1Hex(JSON.stringify(agentBlobstores)),
        ownAddresses: () => ownAddresses(config, db), ignoreMissingGateway: config.networks.ignore_missing_gateway, defaultVmStrategy: config.default_update_vm_strategy,
      },
      maxThreads: config.max_threads, maxVmCreateTries: config.max_vm_create_tries, agentWaitTimeoutMs: config.agent.wait_timeout_s * 1_000, agentEnv: config.agent.env,
      natsUrls: config.nats.agent_urls ?? config.nats.urls, agentBlobstores, shortLivedBootstrapCredentials: config.agent.short_lived_bootstrap_credentials, natsDeliveredTemplates: config.agent.nats_delivered_templates, trustedCerts: config.agent.trusted_certs,
      cpiResizesDisks: config.enable_cpi_resize_disk, cpiUpdatesDisks: config.enable_cpi_update_disk, snapshots: config.snapshots.enabled,
    },
  };
}

/** `env.bosh.blobstores` of VMs; credentials are left out where agents get signed URLs. */
function agentBlobstoreSettings(config: Config): Record<string, unknown>[] {
  const { blobstore } = config;
  switch (blobstore.provider) {
    case 'local':
      return [{ provider: 'local', options: { blobstore_path: blobstore.path } }];
    case 's3': {
      const credentials = blobstore.enable_signed_urls ? {} : { access_key_id: blobstore.access_key_id, secret_access_key: blobstore.secret_access_key };
      const endpoint = blobstore.endpoint === undefined ? undefined : new URL(blobstore.endpoint);
      return [{
        provider: 's3',
        options: {
          bucket_name: blobstore.bucket, region: blobstore.region, ...credentials,
          ...(endpoint ? { host: endpoint.hostname, port: Number(endpoint.port || (endpoint.protocol === 'https:' ? 443 : 80)), use_ssl: endpoint.protocol === 'https:' } : {}),
        },
      }];
    }
  }
}

/** A CPI as uploads of stemcells need it. */
function stemcellCloud({ name, aliases }: CpiNames, cpi: Cpi): StemcellCloud {
  return {
    name, aliases,
    info: () => cpi.info(),
    createStemcell: (imagePath, cloudProperties, tags) => cpi.createStemcell(imagePath, cloudProperties, tags),
  };
}

/** Tags of the runtime config named `default`, given to stemcells in the cloud. */
async function stemcellTags(db: Database): Promise<Record<string, string>> {
  const config = await findCurrentConfig(db, 'runtime', 'default');
  const document = config === undefined ? undefined : parseYaml(config.content);
  const tags = isHash(document) && isHash(document.tags) ? document.tags : {};
  return Object.fromEntries(Object.entries(tags).map(([key, value]) => [key, String(value)]));
}

function createCatalogue(parts: { config: Config; deploys: DeployDeps; blobstore: Blobstore; agents: AgentClient; bus: Bus; cpis: ReturnType<typeof createCpis> }): Registry {
  const { config, deploys, blobstore, agents, bus, cpis } = parts;
  const artifacts = {
    db: deploys.db, blobstore, tmpDir: config.tmp_dir,
    clouds: async (ctx: TaskContext) => allCpis(await loadCpis(deploys.db)).map((names) => stemcellCloud(names, cpis.cpiFor(names.name, ctx))),
    deleteImage: (ctx: TaskContext, cpi: string, cid: string) => cpis.cpiFor(cpi, ctx).deleteStemcell(cid),
    stemcellTags: () => stemcellTags(deploys.db),
  };
  const orphanedVms = { db: deploys.db, maxThreads: config.max_threads, vmCalls: deploys.cpi };
  const orphanDiskDeps = { db: deploys.db, disks: deploys.disks, maxThreads: config.max_threads };
  const orphanedNetworks = { db: deploys.db, maxThreads: config.max_threads, calls: createNetworkCalls(cpis) };
  return createRegistry([
    bind(updateDeployment, deploys),
    bind(exportRelease, deploys),
    bind(deleteDeploymentTask, deploys),
    bind(sweepAbandonedVmsTask, deploys),
    bind(scanAndFixTaskType, { ...deploys, bus }),
    bind(attachDiskTask, deploys),
    bind(orphanDisk, orphanDiskDeps),
    bind(deleteOrphanDisks, orphanDiskDeps),
    bind(createSnapshot, deploys),
    bind(snapshotDeployment, deploys),
    bind(deleteSnapshot, deploys),
    bind(deleteDeploymentSnapshots, deploys),
    bind(snapshotDeployments, deploys),
    bind(scheduledOrphanedVmCleanup, orphanedVms),
    bind(scheduledOrphanedDiskCleanup, orphanDiskDeps),
    bind(deleteOrphanNetworks, orphanedNetworks),
    bind(scheduledOrphanedNetworkCleanup, orphanedNetworks),
    bind(scheduledTasksCleanup, { db: deploys.db, blobstore }),
    bind(scheduledEventsCleanup, { db: deploys.db }),
    bind(scheduledDnsBlobsCleanup, { db: deploys.db, blobstore }),
    bind(scheduledDnsTombstoneCleanup, { db: deploys.db }),
    bind(scheduledRecordsCleanup, {}),
    bind(updateRelease, artifacts),
    bind(updateStemcell, artifacts),
    bind(deleteRelease, artifacts),
    bind(deleteStemcell, artifacts),
    bind(cleanUp, { ...artifacts, ...orphanedVms, disks: deploys.disks }),
    bind(retrieveVmStats, {
      agents,
      listInstancesWithVms: (deployment, view) => listInstancesWithVms(deploys.db, deployment, view),
      resultSize: async (taskId) => (await streamSizes(deploys.db, taskId)).result,
    }),
  ]);
}

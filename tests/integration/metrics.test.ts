import { setTimeout as wait } from 'node:timers/promises';
import { sql } from 'drizzle-orm';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../db/client';
import { readClusterState } from '../../server/metrics/cluster-state';
import { createMetricsHandler } from '../../server/metrics/handler';
import type { Metrics, MetricsDeps } from '../../server/metrics/metrics';
import { startChaosProxy } from '../support/chaos-proxy';
import { testStore, type TestStore } from '../support/director-parts';
import { parseExposition, type ExposedMetric } from '../support/exposition';
import { noCounts, playScene, sceneMetrics } from '../support/metrics-scene';
import { directorUuid, startRestServer, type RestServer } from '../support/rest-server';

let store: TestStore;
const made: Metrics[] = [];

beforeAll(async () => {
  store = await testStore();
  await playScene(store.connections.db);
});

afterEach(async () => {
  for (const metrics of made.splice(0)) await metrics.stop();
});

afterAll(() => store.close());

function metricsOf(change: Partial<MetricsDeps> = {}): Metrics {
  const metrics = sceneMetrics(store, change);
  made.push(metrics);
  return metrics;
}

type Page = Map<string, ExposedMetric>;

async function scrape(metrics: Metrics): Promise<Page> {
  return parseExposition(await metrics.render());
}

/** Series of a metric as `value by labels`, e.g. `{ 'queued,ssh': 0 }`. */
function values(page: Page, name: string): Record<string, number> {
  const metric = page.get(name);
  if (!metric) throw new Error(`no metric ${name}`);
  return Object.fromEntries(metric.samples.map(({ labels, value }) => [Object.values(labels).join(','), value]));
}

describe('metrics of the Ruby director', () => {
  it('tell of configs, resurrection and tasks from the database', async () => {
    const page = await scrape(metricsOf());
    expect(values(page, 'bosh_deploy_config_enabled')).toEqual({ '': 1 });
    expect(values(page, 'bosh_resurrection_enabled')).toEqual({ '': 0 });
    expect(values(page, 'bosh_tasks_total')).toEqual({
      'processing,delete_deployment': 0, 'processing,update_deployment': 2, 'processing,vms': 0, 'queued,delete_deployment': 0, 'queued,update_deployment': 2, 'queued,vms': 0,
    });
  });

  it('tell of the addresses of manual networks under canonical names, beside no_networks', async () => {
    const page = await scrape(metricsOf());
    expect(values(page, 'bosh_networks_dynamic_ips_total')).toEqual({ no_networks: 0, my_net: 243 });
    expect(values(page, 'bosh_networks_dynamic_free_ips_total')).toEqual({ no_networks: 0, my_net: 241 });
    const own = await scrape(metricsOf({ ownAddresses: async () => ['10.0.0.99'] }));
    expect(values(own, 'bosh_networks_dynamic_ips_total')).toEqual({ no_networks: 0, my_net: 242 });
  });

  it('tell of agents what this node hears, and 0 for deployments that have gone', async () => {
    let counts = { ...noCounts, unresponsive: { 'My-App': 2 }, unhealthy: { 'My-App': 1 }, stopped: { 'My-App': 3 }, unknown: { 'My-App': 4 }, available: { 'My-App': 9, unmanaged: 1 } };
    const metrics = metricsOf({ fleet: () => ({ synced: true, heartbeats: 7, counts: () => counts }) });
    const page = await scrape(metrics);
    expect(values(page, 'bosh_unresponsive_agents')).toEqual({ 'My-App': 2 });
    expect(values(page, 'bosh_unhealthy_agents')).toEqual({ 'My-App': 1 });
    expect(values(page, 'bosh_stopped_instances')).toEqual({ 'My-App': 3 });
    expect(values(page, 'bosh_unknown_instances')).toEqual({ 'My-App': 4 });
    expect(values(page, 'bosh_total_available_agents')).toEqual({ 'My-App': 9, unmanaged: 1 });
    expect(values(page, 'bosh_failing_instances')).toEqual({});
    counts = { ...counts, unresponsive: { 'My-App': 0 }, available: { 'My-App': 0, unmanaged: 0 }, unhealthy: { 'My-App': 0 } };
    Reflect.deleteProperty(counts.unresponsive, 'My-App');
    expect(values(await scrape(metrics), 'bosh_unresponsive_agents')).toEqual({ 'My-App': 0 });
  });

  it('tell nothing of agents before the records were read once', async () => {
    const page = await scrape(metricsOf({ fleet: () => ({ synced: false, heartbeats: 3, counts: () => noCounts }) }));
    expect(values(page, 'bosh_total_available_agents')).toEqual({});
    expect(values(page, 'directorate_heartbeats_total')).toEqual({ '': 3 });
    expect(values(await scrape(metricsOf({ fleet: () => undefined })), 'bosh_total_available_agents')).toEqual({});
  });
});

describe('metrics of the cluster', () => {
  let page: Page;
  beforeAll(async () => {
    const metrics = sceneMetrics(store);
    page = await scrape(metrics);
    await metrics.stop();
  });
  const about = (name: string, key: string) => Math.round((values(page, name)[key] ?? Number.NaN) / 10) * 10;

  it('tell who holds which lease since when, and how often it changed', () => {
    expect(values(page, 'directorate_lease_held')).toEqual({ compaction: 0, reaper: 1, scheduler: 0 });
    expect(values(page, 'directorate_lease_paused')).toEqual({ compaction: 1, reaper: 0, scheduler: 0 });
    expect(values(page, 'directorate_lease_epoch')).toEqual({ compaction: 2, reaper: 7, scheduler: 3 });
    expect(page.get('directorate_lease_changes_total')?.type).toBe('counter');
    expect(values(page, 'directorate_lease_changes_total')).toEqual({ compaction: 2, reaper: 7, scheduler: 3 });
    expect(page.get('directorate_lease_holder_info')?.samples.map(({ labels }) => [labels.component, labels.node_name])).toEqual([['reaper', 'A']]);
    expect(about('directorate_lease_age_seconds', 'reaper')).toBe(100);
    expect(about('directorate_lease_progress_age_seconds', 'reaper')).toBe(10);
    expect(values(page, 'directorate_lease_age_seconds')).not.toHaveProperty('scheduler');
  });

  it('tell of nodes by state, those without beats as lost, those of an hour ago not at all', () => {
    expect(values(page, 'directorate_nodes')).toEqual({ starting: 0, ready: 1, draining: 0, stopped: 1, lost: 1 });
  });

  it('tell of queues and running tasks', () => {
    expect(values(page, 'directorate_task_queue_depth')).toEqual({ normal: 3, urgent: 0 });
    expect(about('directorate_task_queue_age_seconds', 'normal')).toBe(90);
    expect(values(page, 'directorate_task_queue_age_seconds').urgent).toBe(0);
    expect(values(page, 'directorate_tasks_running')).toEqual({ delete_deployment: 1, update_deployment: 1, vms: 0 });
    expect(about('directorate_task_running_age_seconds', 'update_deployment')).toBe(3_600);
  });

  it('tell of NATS servers, the paths of agents and moves', () => {
    expect(values(page, 'directorate_nats_server_heartbeat_age_seconds')).not.toHaveProperty('gone');
    expect(about('directorate_nats_server_heartbeat_age_seconds', 'n2')).toBe(30);
    expect(values(page, 'directorate_nats_server_users_behind').n1).toBe(0);
    expect(values(page, 'directorate_nats_server_users_behind').n2).toBeGreaterThan(0);
    expect(values(page, 'directorate_nats_server_agents')).toEqual({ n1: 2, n2: 1 });
    expect([values(page, 'directorate_bus_moves_open'), values(page, 'directorate_bus_move_pending_agents'), values(page, 'directorate_bus_move_failing_agents')]).toEqual([{ '': 1 }, { '': 2 }, { '': 1 }]);
  });

  it('tell of alerts and their deliveries, incidents and counters', () => {
    expect(values(page, 'directorate_alerts_last_hour')).toEqual({ alert: 0, critical: 1, error: 0, warning: 1, other: 1 });
    expect(values(page, 'directorate_alerts_undispatched')).toEqual({ '': 1 });
    expect(values(page, 'directorate_alert_deliveries_pending')).toEqual({ email: 2, logger: 0 });
    expect(values(page, 'directorate_alert_deliveries_failing')).toEqual({ email: 1, logger: 0 });
    expect(values(page, 'directorate_alert_deliveries_given_up')).toEqual({ email: 1, logger: 0 });
    expect(about('directorate_alert_deliveries_oldest_seconds', 'email')).toBe(300);
    expect(values(page, 'directorate_incidents_open')).toEqual({ agent_timeout: 2, missing_vm: 1, deaf_agent: 0, rogue_agent: 0, unmanaged_timeout: 0 });
    expect(values(page, 'directorate_health_monitor_total')).toEqual({ alerts_stored: 9, resurrector_scans: 4 });
  });

  it('tell of the schedule and of DNS', () => {
    expect(values(page, 'directorate_schedule_last_slot_info')).toEqual({ 'tasks,fired,error': 1, 'events,missed,': 1 });
    expect(about('directorate_schedule_last_slot_age_seconds', 'tasks')).toBe(86_400);
    expect(about('directorate_schedule_overdue_seconds', 'events')).toBe(300);
    expect(values(page, 'directorate_schedule_overdue_seconds')).toMatchObject({ tasks: 0, dns: 0 });
    expect(about('directorate_schedule_next_slot_seconds', 'tasks')).toBe(3_600);
    expect(values(page, 'directorate_schedule_paused')).toEqual({ tasks: 0, events: 0, dns: 1 });
    expect(values(page, 'directorate_dns_version')).toEqual({ '': 2 });
    expect(values(page, 'directorate_dns_agents_behind')).toEqual({ '': 2 });
  });
});

describe('metrics of a node', () => {
  it('count what it is told', async () => {
    const metrics = metricsOf();
    metrics.onRpc({ method: 'get_state', ms: 30, outcome: 'ok' });
    metrics.onRpc({ method: 'get_state', ms: 45_000, outcome: 'timeout' });
    metrics.onCpiCall({ method: 'create_vm', ms: 20_000, outcome: 'error' });
    metrics.onTakeover('update_deployment');
    metrics.onException(new TypeError('x'));
    metrics.onException('text');
    const page = await scrape(metrics);
    const rpc = (outcome: string, le: string) => page.get('directorate_agent_rpc_duration_seconds')?.samples.find(({ labels }) => labels.outcome === outcome && labels.le === le)?.value;
    expect([rpc('ok', '0.025'), rpc('ok', '0.05'), rpc('timeout', '30'), rpc('timeout', '60')]).toEqual([0, 1, 0, 1]);
    const cpi = page.get('directorate_cpi_call_duration_seconds')?.samples.find(({ name }) => name.endsWith('_sum'));
    expect(cpi).toMatchObject({ labels: { method: 'create_vm', outcome: 'error' }, value: 20 });
    expect(values(page, 'directorate_task_takeovers_total')).toEqual({ delete_deployment: 0, update_deployment: 1, vms: 0 });
    expect(values(page, 'http_server_exceptions_total')).toEqual({ TypeError: 1, string: 1 });
  });

  it('tell of itself, its pool and its NATS connections', async () => {
    const page = await scrape(metricsOf({ buses: { director: () => ({ connected: true, server: 'n1:4222', since: new Date(), connects: 2 }), health_monitor: () => ({ connected: false, server: undefined, since: new Date(), connects: 1 }) } }));
    expect(values(page, 'directorate_nats_connected')).toEqual({ director: 1, health_monitor: 0 });
    expect(values(page, 'directorate_nats_connects_total')).toEqual({ director: 2, health_monitor: 1 });
    expect(values(page, 'directorate_nats_connection_info')).toEqual({ 'director,n1:4222': 1 });
    expect(page.get('directorate_node_info')?.samples[0]?.labels).toMatchObject({ node_name: 'A', version: '1.2.3' });
    expect(values(page, 'directorate_database_pool_waiting')).toEqual({ '': 0 });
    expect(page.get('process_resident_memory_bytes')?.samples[0]?.value).toBeGreaterThan(1e7);
    expect(page.get('nodejs_eventloop_lag_p99_seconds')?.samples).toHaveLength(1);
  });

  it('are of one node each, though several live in a process', async () => {
    const [one, other] = [metricsOf(), metricsOf()];
    one.onTakeover('x');
    expect(values(await scrape(other), 'directorate_task_takeovers_total')).not.toHaveProperty('x');
  });
});

describe('the page at /metrics', () => {
  let server: RestServer;
  let metrics: Metrics;
  beforeAll(async () => {
    metrics = sceneMetrics(store);
    server = await startRestServer(store, {
      scopes: { reader: ['bosh.read'], prometheus: [`bosh.${directorUuid}.read`], member: ['bosh.teams.web.read'] },
      intercept: (request, response) => {
        metrics.observeHttp(request, response);
        if (request.url?.startsWith('/hangs')) return true;
        if (request.url?.startsWith('/stream')) {
          response.setHeader('content-type', 'text/event-stream');
          setTimeout(() => response.end(), 50);
          return true;
        }
        if (request.url !== '/metrics') return false;
        createMetricsHandler({ metrics, identity: server.deps.identity, directorUuid, log: server.deps.log })(request, response);
        return true;
      },
    });
  });
  afterAll(async () => {
    await server.close();
    await metrics.stop();
  });

  it('is for those who may read the director', async () => {
    expect(await server.call('GET', '/metrics', { user: null })).toMatchObject({ status: 401, headers: { 'www-authenticate': 'Basic realm="BOSH Director"' } });
    expect(await server.call('GET', '/metrics', { user: 'nobody' })).toMatchObject({ status: 401 });
    expect(await server.call('GET', '/metrics', { user: 'member' })).toMatchObject({ status: 401, body: expect.stringContaining('bosh.read') });
    for (const user of ['test', 'reader', 'prometheus']) {
      const answer = await server.call('GET', '/metrics', { user });
      expect(answer).toMatchObject({ status: 200, headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', 'cache-control': 'no-store' } });
      expect(parseExposition(answer.body).size).toBeGreaterThan(60);
    }
    expect(await server.call('HEAD', '/metrics')).toMatchObject({ status: 200, body: '' });
    expect(await server.call('POST', '/metrics')).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
  });

  it('counts requests by template, method and status, and times all but streams', async () => {
    await server.call('GET', '/info');
    await server.call('GET', '/deployments/web');
    await server.call('GET', '/deployments/none?x=1');
    await server.call('GET', '/tasks/1', { user: null });
    await server.call('DELETE', '/no/such/path');
    await server.call('GET', '/stream');
    await wait(20);
    const page = parseExposition((await server.call('GET', '/metrics')).body);
    const counted = (path: string) => page.get('http_server_requests_total')?.samples.filter(({ labels }) => labels.path === path).map(({ labels, value }) => `${labels.method} ${labels.code} ${value}`);
    expect(counted('/info')).toEqual(['get 200 1']);
    expect(counted('/deployments/:deployment')).toEqual(['get 200 1', 'get 404 1']);
    expect(counted('/tasks/:id')).toEqual(['get 401 1']);
    expect(counted('other')).toEqual(expect.arrayContaining(['delete 404 1', 'get 200 1']));
    const timed = page.get('http_server_request_duration_seconds')?.samples.filter(({ name, labels }) => name.endsWith('_count') && labels.path === 'other').map(({ labels }) => labels.method);
    expect(timed).toEqual(['delete']);
  });

  it('counts clients that went away as 499', async () => {
    await fetch(`${server.url}/hangs`, { signal: AbortSignal.timeout(50) }).catch(() => undefined);
    await wait(50);
    const page = parseExposition((await server.call('GET', '/metrics')).body);
    expect(page.get('http_server_requests_total')?.samples.find(({ labels }) => labels.code === '499')?.value).toBe(1);
  });
});

describe('the database', () => {
  it('is read at most once in a while, and once at a time', async () => {
    let connections = 0;
    const counting = { ...store.connections, dedicated: () => (connections++, store.connections.dedicated()) };
    const metrics = metricsOf({ connections: counting, holdMs: 60_000 });
    await Promise.all([metrics.render(), metrics.render(), metrics.render()]);
    await store.connections.db.execute(sql`UPDATE director_settings SET value = 'false' WHERE key = 'resurrection_paused'`);
    expect(values(await scrape(metrics), 'bosh_resurrection_enabled')).toEqual({ '': 0 });
    expect(connections).toBe(1);
    expect(values(await scrape(metricsOf()), 'bosh_resurrection_enabled')).toEqual({ '': 1 });
    await store.connections.db.execute(sql`UPDATE director_settings SET value = 'true' WHERE key = 'resurrection_paused'`);
  });

  it('is missed for as long as it is away, hangs or restarts, and what the node knows itself is told all the same', async () => {
    const target = new URL(store.url);
    const proxy = await startChaosProxy({ host: target.hostname, port: Number(target.port) });
    target.port = String(proxy.port);
    const connections = connect({ url: target.href, poolSize: 1, onConnectionError: () => undefined });
    const metrics = metricsOf({ connections, patienceMs: 300 });
    const look = async () => {
      const page = await scrape(metrics);
      expect(values(page, 'directorate_nats_connected')).toEqual({ director: 1 });
      return { up: values(page, 'directorate_database_up')[''], version: values(page, 'directorate_dns_version')[''], leases: Object.keys(values(page, 'directorate_lease_held')).length };
    };
    const there = { up: 1, version: 2, leases: 3 };
    const away = { up: 0, version: undefined, leases: 0 };
    expect(await look()).toEqual(there);
    proxy.cut();
    await wait(50);
    expect(await look()).toEqual(away);
    proxy.heal();
    expect(await look()).toEqual(there);
    proxy.blackhole();
    const startedAt = performance.now();
    expect(await look()).toEqual(away);
    expect(performance.now() - startedAt).toBeLessThan(5_000);
    proxy.heal();
    await expect.poll(look, { timeout: 5_000 }).toEqual(there);
    await metrics.stop();
    await connections.close();
    await proxy.close();
  });

  it('is not asked for what has ended, however much there is', async () => {
    const { db } = store.connections;
    await db.execute(sql`INSERT INTO tasks (type, lane, state, description, username, payload, finished_at) SELECT 'type_' || n % 12, 'normal', 'done', '', 'x', '{}', now() FROM generate_series(1, 20000) n`);
    await db.execute(sql`INSERT INTO alerts (seq, id, dedup_key, origin, severity, title, summary, source, created_at, stored_at, dispatched) SELECT n, '', 'k' || n, 'agent', 2, '', '', '', now(), now() - interval '1 day', true FROM generate_series(100, 60000) n`);
    await db.execute(sql`INSERT INTO alert_deliveries (alert_seq, plugin, delivered_at) SELECT seq, 'logger', now() FROM alerts WHERE seq >= 100`);
    for (const table of ['tasks', 'alerts', 'alert_deliveries']) await db.execute(sql`ANALYZE ${sql.identifier(table)}`);
    await db.transaction(async (tx) => {
      // They may still have numbers of the transactions before on this connection.
      const look = async () => {
        const { rows } = await tx.execute<{ name: string; scans: number; fetched: number }>(sql`
          SELECT relname AS name, seq_scan AS scans, COALESCE(idx_tup_fetch, 0) AS fetched FROM pg_stat_xact_user_tables WHERE relname IN ('tasks', 'task_attempts', 'task_output', 'alerts', 'alert_deliveries', 'events')`);
        return new Map(rows.map((row) => [row.name, row]));
      };
      const before = await look();
      const state = await readClusterState(tx);
      expect(state.tasks.types).toHaveLength(15);
      const after = await look();
      expect([...after.values()].filter(({ name, scans }) => scans > (before.get(name)?.scans ?? 0))).toEqual([]);
      const fetched = (name: string) => (after.get(name)?.fetched ?? 0) - (before.get(name)?.fetched ?? 0);
      expect(fetched('tasks')).toBeLessThan(100);
      expect(fetched('alerts')).toBeLessThan(11_000);
      expect(fetched('alert_deliveries')).toBeLessThan(11_000);
    });
  });
});

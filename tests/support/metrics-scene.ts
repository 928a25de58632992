import { sql } from 'drizzle-orm';
import type { Database } from '../../db/client';
import { routes } from '../../server/api/routes';
import { silentLog } from '../../server/core/log';
import type { HealthCounts } from '../../server/health/fleet-view';
import { createMetrics, type Metrics, type MetricsDeps } from '../../server/metrics/metrics';
import type { TestStore } from './director-parts';

const nodeA = '00000000-0000-4000-8000-00000000000a';
const nodeB = '00000000-0000-4000-8000-00000000000b';
const nodeC = '00000000-0000-4000-8000-00000000000c';
const agent = (n: number) => `00000000-0000-4000-8000-0000000001${String(n).padStart(2, '0')}`;

/** One of everything that metrics tell of. */
export const sceneStatements = [
  sql`INSERT INTO director_nodes (id, name, host, url, roles, version, pid, state, heartbeat_at) VALUES
    (${nodeA}, 'A', 'h', 'u', '{}', '1', 1, 'ready', now()), (${nodeB}, 'B', 'h', 'u', '{}', '1', 2, 'ready', now() - interval '1 minute'), (${nodeC}, 'C', 'h', 'u', '{}', '1', 3, 'stopped', now() - interval '10 minutes'),
    (gen_random_uuid(), 'old', 'h', 'u', '{}', '1', 3, 'stopped', now() - interval '2 hours')`,
  sql`INSERT INTO leases (name, holder, epoch, acquired_at, expires_at, last_progress_at, paused) VALUES
    ('reaper', ${nodeA}, 7, now() - interval '100 seconds', now() + interval '1 hour', now() - interval '12 seconds', false),
    ('scheduler', ${nodeB}, 3, now() - interval '1 hour', now() - interval '58 seconds', now() - interval '59 seconds', false),
    ('compaction', NULL, 2, NULL, NULL, NULL, true)`,
  sql`INSERT INTO tasks (type, lane, state, description, username, payload, created_at, started_at, owner, owner_node, finished_at)
    SELECT type, lane, state, '', 'admin', '{}', now() - age, CASE WHEN state <> 'queued' THEN now() - age END, owner, CASE WHEN owner IS NOT NULL THEN ${nodeA}::uuid END, CASE WHEN state IN ('done', 'error') THEN now() END
    FROM (VALUES
      ('update_deployment', 'normal', 'done', interval '2 days', NULL), ('update_deployment', 'normal', 'queued', interval '90 seconds', NULL), ('update_deployment', 'normal', 'queued', interval '30 seconds', NULL),
      ('update_deployment', 'normal', 'processing', interval '1 hour', 'A/1'), ('update_deployment', 'normal', 'processing', interval '2 hours', NULL), ('delete_deployment', 'normal', 'cancelling', interval '3 hours', 'A/2'),
      ('vms', 'urgent', 'error', interval '1 day', NULL)) AS t (type, lane, state, age, owner)`,
  sql`INSERT INTO deployments (name, canonical_name) VALUES ('web', 'web')`,
  sql`INSERT INTO instances (uuid, deployment_id, job, index, compilation) SELECT gen_random_uuid(), d.id, 'web', n, n = 4 FROM deployments d, generate_series(0, 4) n`,
  sql`INSERT INTO vms (instance_id, agent_id, cid, state, active) SELECT i.id, ('00000000-0000-4000-8000-0000000001' || lpad(i.index::text, 2, '0'))::uuid, 'vm-' || i.index, 'running', i.index <> 3 FROM instances i`,
  sql`INSERT INTO nats_auth_appliers (server_name, applied_revision, heartbeat_at) SELECT 'n1', revision, now() FROM nats_users_revision UNION ALL SELECT 'n2', 0, now() - interval '30 seconds' FROM nats_users_revision UNION ALL SELECT 'gone', 0, now() - interval '8 days' FROM nats_users_revision`,
  sql`INSERT INTO agent_paths (agent_id, server_name) VALUES (${agent(0)}, 'n1'), (${agent(1)}, 'n1'), (${agent(2)}, 'n2')`,
  sql`INSERT INTO alerts (seq, id, dedup_key, origin, severity, title, summary, source, created_at, stored_at, dispatched) VALUES
    (1, 'a', 'a', 'health_monitor', 2, 't', 's', 'x', now(), now() - interval '3 hours', true), (2, 'b', 'b', 'agent', 2, 't', 's', 'x', now(), now() - interval '5 minutes', true),
    (3, 'c', 'c', 'agent', 4, 't', 's', 'x', now(), now(), true), (4, 'd', 'd', 'agent', 9, 't', 's', 'x', now(), now(), false)`,
  sql`INSERT INTO alert_deliveries (alert_seq, plugin, attempts, delivered_at, given_up_at) VALUES
    (1, 'email', 9, NULL, now() - interval '2 hours'), (2, 'email', 3, NULL, NULL), (3, 'email', 0, NULL, NULL), (1, 'logger', 1, now(), NULL), (2, 'logger', 1, now(), NULL)`,
  sql`INSERT INTO incidents (kind, subject, number, ended_at) VALUES ('agent_timeout', 'x', 1, now()), ('agent_timeout', 'x', 2, NULL), ('agent_timeout', 'y', 1, NULL), ('missing_vm', 'z', 1, NULL)`,
  sql`INSERT INTO health_counters (name, value) VALUES ('resurrector_scans', 4), ('alerts_stored', 9)`,
  sql`INSERT INTO schedules (name, command, schedule, missed, position, paused, next_slot_at) VALUES
    ('tasks', 'ScheduledTasksCleanup', '0 0 * * *', 'run_once', 1, false, now() + interval '1 hour'), ('events', 'ScheduledEventsCleanup', '0 * * * *', 'skip', 2, false, now() - interval '5 minutes'),
    ('dns', 'ScheduledDnsBlobsCleanup', '0 * * * *', 'skip', 3, true, now() - interval '5 minutes')`,
  sql`INSERT INTO schedule_slots (schedule, slot_at, outcome, task_id, epoch) VALUES
    ('tasks', now() - interval '2 days', 'fired', 1, 1), ('tasks', now() - interval '1 day', 'fired', 7, 1), ('events', now() - interval '1 hour', 'missed', NULL, 1)`,
  sql`INSERT INTO local_dns_blobs (records_id, blobstore_id, digest, stored) VALUES (1, 'b', 'd', true), (2, 'b', 'd', true), (3, 'b', 'd', false)`,
  sql`INSERT INTO agent_dns_versions (agent_id, dns_version) VALUES (${agent(0)}, 2), (${agent(1)}, 1)`,
  sql`INSERT INTO bus_moves (urls, ca_sha1, username, finished_at) VALUES ('{}', '', 'admin', now()), ('{}', '', 'admin', NULL)`,
  sql`INSERT INTO bus_move_agents (move_id, agent_id, state, attempts) VALUES (1, ${agent(0)}, 'told', 1), (2, ${agent(0)}, 'told', 1), (2, ${agent(1)}, 'pending', 0), (2, ${agent(2)}, 'pending', 4)`,
  sql`INSERT INTO configs (type, name, content, deleted) VALUES ('deploy', 'old', '{}', true), ('deploy', 'default', '{}', false), ('cloud', 'default', '{}', false)`,
  sql`INSERT INTO configs (type, name, content) VALUES ('cloud', 'default', ${'networks:\n- {name: My_Net, subnets: [{range: 10.0.0.0/24, gateway: 10.0.0.1, static: [10.0.0.10-10.0.0.19]}]}\n'})`,
  sql`INSERT INTO ip_addresses (address, network_name, static) VALUES ('10.0.0.2/32', 'My_Net', false), ('10.0.0.3/32', 'My_Net', false), ('10.0.0.10/32', 'My_Net', true)`,
  sql`INSERT INTO director_settings (key, value) VALUES ('resurrection_paused', 'true')`,
];

export async function playScene(db: Database): Promise<void> {
  for (const statement of sceneStatements) await db.execute(statement);
}

export const noCounts: HealthCounts = { unresponsive: {}, unhealthy: {}, failing: {}, stopped: {}, unknown: {}, available: { unmanaged: 0 } };

/** Metrics of a node of that store; `change` replaces some of what it is made of. */
export function sceneMetrics(store: Pick<TestStore, 'connections'>, change: Partial<MetricsDeps> = {}): Metrics {
  return createMetrics({
    connections: store.connections,
    node: { id: nodeA, name: 'A' },
    version: '1.2.3',
    buses: { director: () => ({ connected: true, server: '127.0.0.1:4222', since: new Date(), connects: 3 }) },
    fleet: () => ({ synced: true, heartbeats: 42, counts: () => ({ ...noCounts, unresponsive: { web: 1 }, unhealthy: { web: 0 }, failing: { web: 2 }, stopped: { web: 0 }, unknown: { web: 1 }, available: { web: 5, unmanaged: 1 } }) }),
    paths: { routes: routes.map(({ path }) => path), procedures: ['tasks.list'] },
    ownAddresses: async () => [],
    log: silentLog,
    holdMs: 0,
    ...change,
  });
}

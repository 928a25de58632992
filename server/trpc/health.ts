import { z } from 'zod';
import { findAlert, listAlerts, listDeliveriesOf, type AlertRow } from '../alerts/list-store';
import { code, DirectorError } from '../core/errors';
import { recordEvent } from '../events/store';
import { countOpenIncidents, listIncidents } from '../health/list-store';
import { isResurrectionPaused, setResurrectionPaused } from '../instances/store';
import { listDeploymentTeams } from './monitor-store';
import { summariseDeployments, type DeploymentHealth } from './health-summary';
import { taskState } from './task-tail';
import { adminProcedure, readProcedure, router, teamProcedure } from './trpc';

const origin = z.enum(['health_monitor', 'resurrector', 'agent', 'director']);
const incidentKind = z.enum(['agent_timeout', 'missing_vm', 'deaf_agent', 'rogue_agent', 'unmanaged_timeout']);

const deploymentHealth = z.object({
  name: z.string(),
  agents: z.int(),
  /** Of its agents: silent for longer than the timeout; running without a process; what they say of their jobs. */
  unresponsive: z.int(),
  unhealthy: z.int(),
  failing: z.int(),
  stopped: z.int(),
  /** Not heard of yet. */
  unknown: z.int(),
  missingVms: z.int(),
  incidents: z.int(),
}) satisfies z.ZodType<DeploymentHealth>;

const incident = z.object({
  id: z.int(),
  kind: incidentKind,
  /** Agent id; instance uuid for `missing_vm`. */
  subject: z.string(),
  deployment: z.string().optional(),
  group: z.string().optional(),
  instanceUuid: z.string().optional(),
  index: z.int().optional(),
  agentId: z.string().optional(),
  openedAt: z.date(),
  endedAt: z.date().optional(),
  endReason: z.string().optional(),
  /** Scan-and-fix tasks so far, and the newest of them. */
  scans: z.int(),
  scanTask: z.object({ id: z.int(), state: taskState }).optional(),
});

const alertView = z.object({
  seq: z.int(),
  id: z.string(),
  origin,
  category: z.enum(['vm_health', 'deployment_health']).optional(),
  severity: z.int(),
  title: z.string(),
  summary: z.string(),
  source: z.string(),
  deployment: z.string().optional(),
  group: z.string().optional(),
  instanceUuid: z.string().optional(),
  agentId: z.string().optional(),
  incidentId: z.int().optional(),
  /** When it came to be, as its origin says, and when it was stored. */
  createdAt: z.date(),
  storedAt: z.date(),
  /** False until its deliveries to the plugins exist. */
  dispatched: z.boolean(),
  deliveries: z.object({ delivered: z.int(), waiting: z.int(), givenUp: z.int() }),
});

function toAlertView(row: AlertRow): z.infer<typeof alertView> {
  return {
    seq: row.seq, id: row.id, origin: row.origin, category: row.category, severity: row.severity, title: row.title, summary: row.summary, source: row.source, deployment: row.deployment, group: row.job,
    instanceUuid: row.instanceId, agentId: row.agentId, incidentId: row.incidentId, createdAt: new Date(row.createdAt * 1_000), storedAt: row.storedAt, dispatched: row.dispatched, deliveries: row.deliveries,
  };
}

/** The health monitor: what is wrong now, what was told, and whether dead VMs are recreated. */
export const healthRouter = router({
  /** Numbers per deployment, those with trouble first; without `all`, the others only as a sum. */
  summary: teamProcedure
    .input(z.object({ all: z.boolean().default(false) }))
    .output(
      z.object({
        at: z.date(),
        /** False until the node that answers has read the deployments' records. */
        synced: z.boolean(),
        /** Heard by the node that answers since it began. */
        heartbeats: z.int(),
        deployments: z.array(deploymentHealth),
        quiet: z.object({ deployments: z.int(), agents: z.int() }),
        /** Agents that no deployment knows; only for those who may read everything. */
        unmanaged: z.int().optional(),
      }),
    )
    .query(async ({ ctx, input }) => {
      const { db } = ctx.deps.connections;
      const { fleet } = ctx.deps;
      const [{ at }, deployments, incidents] = await Promise.all([ctx.shared.overview(), listDeploymentTeams(db, ctx.may.teams), countOpenIncidents(db)]);
      const counts = fleet.counts();
      return { at, synced: fleet.synced, heartbeats: fleet.heartbeats, unmanaged: ctx.may.teams ? undefined : (counts.available.unmanaged ?? 0), ...summariseDeployments(deployments.map((one) => one.name), { counts, incidents }, input.all) };
    }),

  /** Open incidents, or those that have ended; newest first. */
  incidents: teamProcedure
    .input(z.object({ open: z.boolean().default(true), deployment: z.string().optional(), agentId: z.string().optional(), beforeId: z.int().optional(), limit: z.int().min(1).max(200).default(100) }))
    .output(z.object({ at: z.date(), incidents: z.array(incident), nextBeforeId: z.int().optional() }))
    .query(async ({ ctx, input }) => {
      const [{ at }, rows] = await Promise.all([ctx.shared.overview(), listIncidents(ctx.deps.connections.db, { ...input, teams: ctx.may.teams, limit: input.limit + 1 })]);
      const incidents = rows.slice(0, input.limit);
      return { at, incidents, nextBeforeId: rows.length > incidents.length ? incidents.at(-1)?.id : undefined };
    }),

  alerts: teamProcedure
    .input(
      z.object({
        deployment: z.string().optional(),
        severities: z.array(z.int()).max(10).optional(),
        origins: z.array(origin).optional(),
        /** A part of title, summary or source. */
        text: z.string().max(200).optional(),
        /** For the next page: the smallest number seen. */
        beforeSeq: z.int().optional(),
        limit: z.int().min(1).max(200).default(50),
      }),
    )
    .output(z.object({ alerts: z.array(alertView), nextBeforeSeq: z.int().optional() }))
    .query(async ({ ctx, input }) => {
      const rows = await listAlerts(ctx.deps.connections.db, { ...input, teams: ctx.may.teams, limit: input.limit + 1 });
      const shown = rows.slice(0, input.limit);
      return { alerts: shown.map(toAlertView), nextBeforeSeq: rows.length > shown.length ? shown.at(-1)?.seq : undefined };
    }),

  alert: teamProcedure
    .input(z.object({ seq: z.int().min(1) }))
    .output(
      alertView.extend({
        /** Instances that it sums up, by group. */
        jobsToInstanceIds: z.record(z.string(), z.array(z.string())).optional(),
        plugins: z.array(z.object({ plugin: z.string(), attempts: z.int(), state: z.enum(['delivered', 'waiting', 'given up']), at: z.date(), error: z.string().optional() })),
      }),
    )
    .query(async ({ ctx, input }) => {
      const { db } = ctx.deps.connections;
      const found = await findAlert(db, input.seq, ctx.may.teams);
      if (!found) throw new DirectorError(code.generic, `There is no alert ${input.seq}; old ones are removed after a while`, { status: 404 });
      return { ...toAlertView(found), jobsToInstanceIds: found.jobsToInstanceIds, plugins: await listDeliveriesOf(db, found.seq) };
    }),

  /** How the plugins get on that alerts are delivered to. */
  plugins: readProcedure
    .output(
      z.array(
        z.object({
          /** Its id. */
          plugin: z.string(),
          /** Its kind; absent when the configuration does not have it any more. */
          name: z.string().optional(),
          configured: z.boolean(),
          /** Alerts on their way, those of them that failed at least once, and the age of the oldest, ms. */
          pending: z.int(),
          failing: z.int(),
          oldestMs: z.number(),
          /** In the time for which alerts are kept. */
          delivered: z.int(),
          givenUp: z.int(),
          /** Why it could not be delivered. */
          error: z.string().optional(),
        }),
      ),
    )
    .query(async ({ ctx }) => {
      const { plugins } = ctx.deps.monitor;
      const states = await ctx.shared.deliveries();
      const removed = states.filter((state) => state.pending > 0 && !plugins.some((one) => one.id === state.plugin));
      const none = { pending: 0, failing: 0, oldestMs: 0, delivered: 0, givenUp: 0 };
      return [...plugins.map((one) => ({ ...none, ...states.find((state) => state.plugin === one.id), plugin: one.id, name: one.name, configured: true })), ...removed.map((state) => ({ ...state, configured: false }))];
    }),

  /** Whether VMs that are missing or do not answer are recreated. */
  resurrection: readProcedure
    .output(
      z.object({
        /** The switch that `bosh update-resurrection` turns too. */
        enabled: z.boolean(),
        /** False when the configuration has no resurrector: then the switch has no effect. */
        configured: z.boolean(),
      }),
    )
    .query(async ({ ctx }) => ({ enabled: !(await isResurrectionPaused(ctx.deps.connections.db)), configured: ctx.deps.monitor.resurrector })),

  setResurrection: adminProcedure
    .input(z.object({ enabled: z.boolean() }))
    .output(z.object({ enabled: z.boolean() }))
    .mutation(async ({ ctx, input }) => {
      await ctx.deps.connections.db.transaction(async (tx) => {
        await setResurrectionPaused(tx, !input.enabled);
        await recordEvent(tx, { user: ctx.principal.username, action: 'update', objectType: 'resurrection', context: { paused: !input.enabled } });
      });
      return { enabled: input.enabled };
    }),
});

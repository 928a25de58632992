import { z } from 'zod';

const missed = z.enum(['skip', 'run_once']);

/** Names and defaults: cloudfoundry/bosh jobs/director/spec and jobs/director/templates/director.yml.erb. */
export const schedulerSchema = z
  .strictObject({
    missed: missed.default('run_once').describe('what becomes of a time at which no node was there: nothing, or one run as soon as possible'),
    scheduled_jobs: z
      .array(
        z.strictObject({
          command: z.string().describe('e.g. `ScheduledTasksCleanup`'),
          schedule: z.string().nullable().describe('cron, with optional leading seconds, UTC; null takes a default entry away'),
          params: z.array(z.record(z.string(), z.unknown())).max(1).default([]).describe('at most one hash, as the command defines it'),
          missed: missed.optional().describe('for this entry'),
        }),
      )
      .default([])
      .describe('entries beside the default ones; one with the command of a default entry stands in its place'),
    max_tasks: z.int().min(1).default(2_000).describe('ended tasks kept of each type'),
    tasks_retention_period: z.int().min(1).optional().describe('days for which ended tasks are kept at most'),
    tasks_deployments_retention_period: z.array(z.strictObject({ deployment_name: z.string(), retention_period: z.int().min(1) })).default([]).describe('the same for tasks of single deployments, days'),
    max_events: z.int().min(1).default(10_000).describe('audit events kept'),
    record_events: z.boolean().default(true).describe('whether old audit events are ever cleaned up'),
  })
  .prefault({});

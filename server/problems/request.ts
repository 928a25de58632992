import { z } from 'zod';
import type { NewAuditEvent } from '../events/store';
import type { NewTask } from '../tasks/queue';

/** The task that the health monitor, or an operator through the API, asks for when VMs do not answer. */

export const scanAndFixType = 'cck_scan_and_fix';

/** The Ruby health monitor looks for tasks of exactly this description. */
export const scanAndFixDescription = 'scan and fix';

/** Payload of `cck_scan_and_fix`. */
export const scanAndFixPayload = z.strictObject({
  deployment: z.string(),
  /** Instance group to uuids or indexes. */
  jobs: z.record(z.string(), z.array(z.string())),
  /** Also instances with persistent disks. */
  fixStateful: z.boolean(),
});

export type ScanAndFixPayload = z.infer<typeof scanAndFixPayload>;

/** The task as the queue takes it, and its audit event (of which the end is written with the task's); both belong into one transaction. */
export function scanAndFixTask(payload: ScanAndFixPayload, teams: readonly string[]): Omit<NewTask, 'user'> & { event: Pick<NewAuditEvent, 'action' | 'objectType' | 'objectName' | 'deployment' | 'context'> } {
  const { deployment, jobs } = payload;
  return {
    type: scanAndFixType, lane: 'normal', description: scanAndFixDescription, deployment, teams, payload,
    event: { action: 'scan and fix', objectType: 'deployment', objectName: deployment, deployment, context: { jobs } },
  };
}

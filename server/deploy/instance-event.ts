import type { Tx } from '../../db/client';
import { describeError } from '../core/errors';
import { recordEvent } from '../events/store';
import { instanceName } from '../instances/instance';
import type { TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';

/** An operation on one instance as the audit trail tells of it. */
export interface InstanceOperation {
  instance: { group: string; uuid: string };
  deployment: string | undefined;
  /** `create`, `update`, `recreate`, … */
  action: string;
  /** Of the start event. */
  context: Record<string, unknown>;
  /** Records, in one transaction with the start event, that the operation has begun. */
  begin(tx: Tx): Promise<void>;
}

/**
 * Runs an operation between its two audit events; the second has the error when it failed. An attempt that dies in between leaves the
 * first without an end: the next one begins anew and ends its own.
 */
export async function recordedOperation(ctx: TaskContext, operation: InstanceOperation, work: () => Promise<void>): Promise<void> {
  const name = instanceName(operation.instance);
  const event = { user: ctx.user, action: operation.action, objectType: 'instance', objectName: name, taskId: ctx.taskId, deployment: operation.deployment, instance: name };
  const parentId = await ctx.write(async (tx) => {
    await operation.begin(tx);
    return recordEvent(tx, { ...event, context: operation.context });
  });
  try {
    await work();
  } catch (error) {
    if (!isInterruption(error)) {
      // What went wrong matters more than its record.
      const message = ctx.secrets.clean(describeError(error).message).replaceAll('\u0000', '');
      await ctx.uncancellable().write((tx) => recordEvent(tx, { ...event, parentId, error: message })).catch((failure: unknown) => ctx.log.warn(`The event was not recorded: ${String(failure)}`));
    }
    throw error;
  }
  await ctx.write((tx) => recordEvent(tx, { ...event, parentId }));
}

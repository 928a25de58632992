import { DrizzleQueryError } from 'drizzle-orm';
import { isTransient } from '../../db/client';
import { isTaskLost } from './context';

/**
 * True for what ends an attempt and not its task: the attempt lost its right to act, or a query failed because the database went
 * away. A later attempt goes on.
 */
export function isInterruption(error: unknown): boolean {
  return isTaskLost(error) || isDatabaseLoss(error);
}

/** True when a query failed for reasons that say nothing about it. Refused connections to anything but the database do not count. */
export function isDatabaseLoss(error: unknown): boolean {
  if (!isTransient(error)) return false;
  for (let at: unknown = error; at instanceof Error; at = at.cause) if (at instanceof DrizzleQueryError) return true;
  return false;
}

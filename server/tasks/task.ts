/**
 * A task's life:
 *   queued ──claim──▶ processing ──▶ done | error | cancelled
 *     │                  │  ▲ takeover: same id, higher epoch, attempt + 1
 *     └──── cancel ──────┴─▶ cancelling ──▶ cancelled | done | error
 * Final states never change. A live task without an owner waits to be claimed.
 */
export type TaskState = 'queued' | 'processing' | 'cancelling' | 'cancelled' | 'done' | 'error' | 'timeout';
export type Lane = 'normal' | 'urgent';
export type StreamName = 'event' | 'result' | 'debug' | 'cpi';

export const streamNames: readonly StreamName[] = ['event', 'result', 'debug', 'cpi'];

export function isFinal(state: TaskState): boolean {
  return state === 'cancelled' || state === 'done' || state === 'error' || state === 'timeout';
}

export function isCancellable(state: TaskState): boolean {
  return state === 'queued' || state === 'processing';
}

/** A task as the API and the console see it. */
export interface Task {
  id: number;
  type: string;
  lane: Lane;
  state: TaskState;
  description: string;
  result: string | undefined;
  user: string;
  deployment: string | undefined;
  contextId: string;
  teams: string[];
  createdAt: Date;
  startedAt: Date | undefined;
  finishedAt: Date | undefined;
  cancelRequestedAt: Date | undefined;
  epoch: number;
  attempt: number;
  ownerNode: string | undefined;
}

/**
 * A task's `result` as stored: without NUL, trimmed, at most 128 characters; a longer one loses its last, partial word and ends in `...`.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/job_runner.rb.
 */
export function truncateResult(text: string): string {
  const trimmed = text.replaceAll('\u0000', '').trim();
  if (trimmed.length <= 128) return trimmed;
  return `${trimmed.slice(0, 129).replace(/\s+?(\S+)?$/, '')}...`;
}

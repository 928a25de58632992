import type { Tx } from '../../db/client';
import { sha256Hex } from '../core/digest';
import { recordEvent, type NewAuditEvent } from '../events/store';
import { enqueueTask, markAnswered, type NewTask } from '../tasks/queue';
import { markTaskSeen } from './accepted/store';
import type { ApiDeps } from './deps';
import { redirectToTask, type Reply } from './reply';
import type { ApiRequest } from './route';

/**
 * From an accepted request to its task.
 *
 * A client that loses its connection before it has the answer sends the same request again (the bosh CLI does so five
 * times), and must not start the work twice. To the CLI the redirect belongs to the request: when reading the task
 * fails it posts again. So a request counts as answered when its task has been looked at, through whatever node, or
 * `unseenMs` after the redirect went out, for clients that do not follow it.
 */
const unseenMs = 10_000;

/** Work that a request asks for. */
export interface AcceptedWork extends Pick<NewTask, 'type' | 'lane' | 'description' | 'deployment' | 'teams' | 'payload'> {
  /** Audit event of the change; undefined for tasks that change nothing. User, task and deployment are filled in. */
  event?: Pick<NewAuditEvent, 'action' | 'objectType'> & Partial<NewAuditEvent>;
  /** Hex digest of the body when it was not read through `request.body`. */
  bodySha256?: string;
  /** The task belongs to the `X-Bosh-Context-Id` of the request. */
  keepsContext?: boolean;
}

/**
 * Enqueues the task, with its audit event, in one transaction; answers with the redirect to it.
 * `prepare` runs first in the same transaction and gives the work: throw in it to refuse the request and leave nothing.
 */
export async function acceptTask(deps: ApiDeps, request: ApiRequest, prepare: (tx: Tx) => Promise<AcceptedWork>): Promise<Reply> {
  return (await acceptOnce(deps, request, prepare)).reply;
}

/** As `acceptTask`; tells also whether the request repeats one whose task exists already. */
export async function acceptOnce(deps: ApiDeps, request: ApiRequest, prepare: (tx: Tx) => Promise<AcceptedWork>): Promise<{ reply: Reply; taskId: number; repeated: boolean }> {
  const accepted = await deps.db.transaction(async (tx) => {
    const work = await prepare(tx);
    const user = request.principal.username;
    const task = await enqueueTask(tx, {
      type: work.type, lane: work.lane, description: work.description, user, deployment: work.deployment, teams: work.teams, payload: work.payload,
      contextId: work.keepsContext ? request.contextId : '',
      fingerprint: request.method === 'GET' ? undefined : fingerprint(request, work.bodySha256 ?? request.body.sha256()),
    });
    if (work.event && !task.repeated) await recordEvent(tx, { deployment: work.deployment, ...work.event, user, taskId: task.id });
    return task;
  });
  const { requestId } = accepted;
  const reply = redirectToTask(accepted.id, request.method);
  if (requestId !== undefined) reply.onSent = () => markAnsweredLater(deps, requestId);
  return { reply, taskId: accepted.id, repeated: accepted.repeated };
}

/** Identifies a request by who asks for what; headers do not count. */
function fingerprint(request: ApiRequest, bodySha256: string): string {
  return sha256Hex(JSON.stringify([request.principal.username, request.method, request.path, request.queryText, bodySha256]));
}

/** When the node dies meanwhile, the request stays repeatable a little longer. */
function markAnsweredLater(deps: ApiDeps, requestId: string): void {
  const mark = () => markAnswered(deps.db, requestId).catch((error: unknown) => deps.log.warn('mark-answered-failed', { error: String(error) }));
  setTimeout(() => void mark(), unseenMs).unref();
}

/** How long after its start a task may have a request that counts as unanswered, ms. */
const recentMs = 60_000;

/** To be called when a task is read: its request is answered. Costs nothing for older tasks. */
export function noteTaskSeen(deps: ApiDeps, task: { id: number; createdAt: Date }): (() => void) | undefined {
  if (deps.clock.now() - task.createdAt.getTime() > recentMs) return undefined;
  return () => void markTaskSeen(deps.db, task.id).catch((error: unknown) => deps.log.warn('mark-seen-failed', { error: String(error) }));
}

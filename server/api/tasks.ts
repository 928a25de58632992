import { z } from 'zod';
import { isAllowed, requireAccess, requiredScopes, teamsWith, type Access } from '../auth/permissions';
import { DirectorError, code } from '../core/errors';
import { recordEvent } from '../events/store';
import { findStream, outputStream } from '../tasks/output';
import { cancelTask, cancelTasks } from '../tasks/queue';
import { findTask, listTasks } from '../tasks/store';
import type { StreamName, Task, TaskState } from '../tasks/task';
import { noteTaskSeen } from './accept-task';
import type { ApiDeps } from './deps';
import { presentTask } from './present';
import { parseRange } from './range';
import { empty, json, stream, text, type Reply } from './reply';
import { parameter, taskOf, type ApiRequest } from './route';

/** Types that `verbose=1`, the CLI's and the API's default, shows. Source: bosh-director lib/bosh/director/api/controllers/tasks_controller.rb. */
const notableTypes = [
  'attach_disk', 'create_snapshot', 'delete_deployment', 'delete_release', 'delete_snapshot', 'delete_stemcell', 'run_errand', 'snapshot_deployment', 'update_instance',
  'update_deployment', 'update_release', 'update_stemcell', 'export_release',
];
/** Without a limit the Ruby director lists all that its cleanup has left; this many are a full answer in practice. */
const listAtMost = 10_000;

const taskStates: readonly TaskState[] = ['queued', 'processing', 'cancelling', 'cancelled', 'done', 'error', 'timeout'];

export async function listAll(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const states = parameter(request, 'state')?.split(',').map((state) => state.trim());
  const seesAll = isAllowed(request.principal, { permission: 'read', directorUuid: deps.director.uuid });
  const tasks = await listTasks(deps.db, {
    states: states && taskStates.filter((state) => states.includes(state)),
    types: (parameter(request, 'verbose') ?? '1') === '1' ? notableTypes : undefined,
    deployment: parameter(request, 'deployment'),
    contextId: parameter(request, 'context_id'),
    teams: seesAll ? undefined : teamsWith(request.principal, 'admin'),
    limit: limitOf(parameter(request, 'limit')),
  });
  return json(tasks.map(presentTask));
}

function limitOf(limit: string | undefined): number {
  if (limit === undefined) return listAtMost;
  const wanted = Number(limit);
  if (!Number.isInteger(wanted)) throw new DirectorError(code.validationInvalidType, `limit is invalid: '${limit}' is not an integer`);
  return Math.min(Math.max(wanted, 1), listAtMost);
}

/** The task of that id; throws 10000. */
export async function getTask(deps: ApiDeps, id: string): Promise<Task> {
  const task = /^\d{1,15}$/.test(id) ? await findTask(deps.db, Number(id)) : undefined;
  if (!task) throw new DirectorError(code.taskNotFound, `Task ${id} not found`);
  return task;
}

export async function show(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const task = await getTask(deps, request.param('task'));
  const access: Access = { permission: 'task:read', directorUuid: deps.director.uuid, teams: task.teams };
  if (!isAllowed(request.principal, access)) {
    throw new DirectorError(code.unauthorizedToAccessDeployment, `One of the following scopes is required to access this task: ${requiredScopes(access)}`);
  }
  return withSeen(deps, task, json(presentTask(task)));
}

function withSeen(deps: ApiDeps, task: { id: number; createdAt: Date }, reply: Reply): Reply {
  const onSent = noteTaskSeen(deps, task);
  return onSent ? { ...reply, onSent } : reply;
}

const streams: Readonly<Record<string, StreamName>> = { debug: 'debug', cpi: 'cpi', event: 'event', result: 'result' };

/** A task's output, live while it runs, by byte ranges. Source: bosh-director lib/bosh/director/api/controllers/tasks_controller.rb. */
export async function output(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const task = taskOf(request);
  const type = parameter(request, 'type') ?? 'debug';
  if (type === 'none') return empty();
  const name = streams[type];
  if (!name) throw new DirectorError(code.unauthorizedToAccessDeployment, `Unknown type ${type}`);
  if (name === 'debug' || name === 'cpi') requireAccess(request.principal, { permission: 'task:admin', directorUuid: deps.director.uuid, teams: task.teams });
  const found = await findStream(deps.db, task.id, name);
  if (!found && (name === 'debug' || name === 'cpi')) return empty();
  return part(deps, { taskId: task.id, name, size: found?.size ?? 0 }, request.headers.range);
}

function part(deps: ApiDeps, of: { taskId: number; name: StreamName; size: number }, header: string | undefined): Reply {
  const range = parseRange(header, of.size);
  if (range.kind === 'unsatisfiable') {
    const reply = text(416, 'Byte range unsatisfiable');
    return { ...reply, headers: { ...reply.headers, 'content-range': `bytes */${of.size}` } };
  }
  const [start, end] = range.kind === 'part' ? [range.start, range.end] : [0, of.size];
  const headers = { 'content-type': 'text/plain;charset=utf-8', 'content-length': end - start, 'accept-ranges': 'bytes' };
  const bytes = outputStream(deps, of.taskId, of.name, { start, end });
  return range.kind === 'part' ? stream(bytes, { ...headers, 'content-range': `bytes ${start}-${end - 1}/${of.size}` }, 206) : stream(bytes, headers);
}

export async function cancel(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const id = request.param('id');
  const found = /^\d{1,15}$/.test(id) ? await deps.db.transaction(async (tx) => {
    const cancelled = await cancelTask(tx, Number(id));
    if (cancelled?.cancelled) await recordEvent(tx, { user: request.principal.username, action: 'cancel', objectType: 'task', objectName: id, taskId: Number(id) });
    return cancelled;
  }) : undefined;
  if (!found) throw new DirectorError(code.taskNotFound, `Task ${id} not found`);
  return found.cancelled ? empty() : text(400, `Cannot cancel task ${id}: invalid state (${found.state})`);
}

const cancellable: readonly TaskState[] = ['queued', 'processing'];

const cancelManyBody = z.object({
  states: z.array(z.string()).nullish(),
  types: z.array(z.string()).nullish(),
  deployment: z.string().nullish(),
});

export async function cancelMany(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const wanted = await request.body.jsonOf(cancelManyBody);
  const states = wanted.states ?? ['queued'];
  const wrong = states.find((state) => !cancellable.some((known) => known === state));
  if (wrong !== undefined) return text(400, `${wrong} is not one of the cancellable states: ${cancellable.join(', ')}`);
  await deps.db.transaction(async (tx) => {
    const ids = await cancelTasks(tx, { states: cancellable.filter((state) => states.includes(state)), types: wanted.types ?? undefined, deployment: wanted.deployment ?? undefined });
    for (const taskId of ids) await recordEvent(tx, { user: request.principal.username, action: 'cancel', objectType: 'task', objectName: String(taskId), taskId });
  });
  return empty();
}

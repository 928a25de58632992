import { z } from 'zod';
import { DirectorError, code } from '../core/errors';
import { findEvent, listEvents, recordEvent } from '../events/store';
import type { ApiDeps } from './deps';
import { presentEvent } from './present';
import { ReplyThrown, empty, json, text, type Reply } from './reply';
import { parameter, type ApiRequest } from './route';

/** The audit trail. Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/events_controller.rb. */

const pageSize = 200;

export async function listAll(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const before = timeParameter(request, 'before');
  const after = timeParameter(request, 'after');
  const events = await listEvents(deps.db, {
    beforeId: idParameter(request, 'before_id'),
    before,
    from: after && new Date(after.getTime() + 1000),
    taskId: idParameter(request, 'task'),
    deployment: parameter(request, 'deployment'),
    instance: parameter(request, 'instance'),
    user: parameter(request, 'user'),
    action: parameter(request, 'action'),
    objectType: parameter(request, 'object_type'),
    objectName: parameter(request, 'object_name'),
    limit: pageSize,
  });
  return json(events.map(presentEvent));
}

function idParameter(request: ApiRequest, name: string): number | undefined {
  const value = parameter(request, name);
  if (value === undefined) return undefined;
  if (!/^\d{1,15}$/.test(value)) throw new DirectorError(code.validationInvalidType, `${name} is invalid: '${value}' is not an integer`);
  return Number(value);
}

function timeParameter(request: ApiRequest, side: 'before' | 'after'): Date | undefined {
  const value = parameter(request, `${side}_time`);
  if (value === undefined) return undefined;
  const time = parseTime(value);
  if (!time) throw new ReplyThrown(text(400, `Invalid ${side} parameter: '${value}' `));
  return time;
}

/** Epoch seconds, or a date as people and programs write it. */
function parseTime(value: string): Date | undefined {
  if (/^\d{1,12}$/.test(value)) return new Date(Number(value) * 1000);
  if (!/\d{4}/.test(value)) return undefined;
  // A blank before the zone's hours is an unescaped plus.
  const time = new Date(value.replace(/ (?=\d\d:?\d\d$)/, '+'));
  return Number.isNaN(time.getTime()) ? undefined : time;
}

export async function show(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const id = request.param('id');
  const event = /^\d{1,15}$/.test(id) ? await findEvent(deps.db, Number(id)) : undefined;
  return event ? json(presentEvent(event)) : text(404, 'Event not found');
}

const postBody = z.object({
  action: z.string().nullish(),
  object_type: z.string().nullish(),
  object_name: z.string().nullish(),
  deployment: z.string().nullish(),
  instance: z.string().nullish(),
  error: z.string().nullish(),
  context: z.record(z.string(), z.unknown()).nullish(),
  timestamp: z.union([z.string(), z.int()]).nullish(),
});

export async function create(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const body = await request.body.jsonOf(postBody);
  if (!body.action || !body.object_type || !body.object_name) throw new DirectorError(code.validationInvalidType, 'Action, object_type, object_name are required');
  const at = body.timestamp === undefined || body.timestamp === null ? undefined : parseTime(String(body.timestamp));
  if (body.timestamp !== undefined && body.timestamp !== null && !at) return text(400, `Invalid timestamp parameter: '${body.timestamp}' `);
  await recordEvent(deps.db, {
    user: request.principal.username, action: body.action, objectType: body.object_type, objectName: body.object_name, deployment: body.deployment ?? undefined,
    instance: body.instance ?? undefined, error: body.error ?? undefined, context: body.context ?? {}, ...(at ? { at } : {}),
  });
  return empty(200);
}

import { z } from 'zod';
import type { Tx } from '../../db/client';
import { isAllowed, requireAccess, teamsWith } from '../auth/permissions';
import { normalizeConfigContent } from '../configs/normalize-content';
import { createConfig, deleteAllVersions, deleteConfig, findConfig, findCurrentConfig, listConfigs, lockCurrentConfig, type StoredConfig } from '../configs/store';
import { DirectorError, code } from '../core/errors';
import { recordEvent } from '../events/store';
import type { ApiDeps } from './deps';
import { presentConfig } from './present';
import { ReplyThrown, empty, json, text, type Reply } from './reply';
import { parameter, type ApiRequest } from './route';

/**
 * `/configs`: configs of any type.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/configs_controller.rb.
 */

export async function listAll(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const configs = await listConfigs(deps.db, { type: parameter(request, 'type'), name: parameter(request, 'name'), versions: versionsOf(request) });
  return json(configs.filter((config) => mayUse(deps, request, config, 'config:read')).map(presentConfig));
}

/** Versions per config: `limit`, else one, else all with `latest=false`. */
function versionsOf(request: ApiRequest): number | undefined {
  const limit = parameter(request, 'limit');
  const latest = parameter(request, 'latest');
  if (latest !== undefined && latest !== 'true' && latest !== 'false') throw badRequest("'latest' must be 'true' or 'false'");
  if (limit === undefined) return latest === 'false' ? undefined : 1;
  const versions = Number(limit);
  if (!Number.isInteger(versions) || versions < 1) throw badRequest("'limit' must be a number larger than zero");
  return versions;
}

export function badRequest(message: string): DirectorError {
  return new DirectorError(code.badConfigRequest, message);
}

function mayUse(deps: ApiDeps, request: ApiRequest, config: Pick<StoredConfig, 'team'>, permission: 'config:read' | 'config:admin'): boolean {
  return isAllowed(request.principal, accessTo(deps, config, permission));
}

export function accessTo(deps: ApiDeps, config: Pick<StoredConfig, 'team'>, permission: 'config:read' | 'config:admin') {
  return { permission, directorUuid: deps.director.uuid, teams: config.team === undefined ? [] : [config.team] };
}

export async function show(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  return json(presentConfig(await getConfig(deps, request.param('id'))));
}

/** The version of that id; throws 440012 for unknown and deleted ones. */
export async function getConfig(deps: ApiDeps, id: string): Promise<StoredConfig & { current: boolean }> {
  const found = /^\d{1,9}$/.test(id) ? await findConfig(deps.db, Number(id)) : undefined;
  if (!found) throw new DirectorError(code.configNotFound, `Config ${id} not found`);
  return found;
}

const postBody = z.object({ type: z.unknown().optional(), name: z.unknown().optional(), content: z.unknown().optional(), expected_latest_id: z.unknown().optional() });

export async function create(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const body = await request.body.jsonOf(postBody);
  const type = requiredText('type', body.type);
  const name = requiredText('name', body.name);
  const content = normalizeConfigContent(type, requiredText('content', body.content));
  const expected = expectedId(body.expected_latest_id);
  const stored = await deps.db.transaction(async (tx) => {
    const current = await lockCurrentConfig(tx, type, name);
    if (current) requireAccess(request.principal, accessTo(deps, current, 'config:admin'));
    if (current?.content === content) return current;
    if (expected !== undefined && expected !== String(current?.id ?? 0)) throw stale(current, expected);
    return addVersion(tx, request, { type, name, content, team: current ? current.team : teamsWith(request.principal, 'admin')[0], eventType: `config/${type}`, action: 'create' });
  });
  return json(presentConfig({ ...stored, current: true }), 201);
}

function requiredText(key: string, value: unknown): string {
  if (value === undefined || value === null || value === '') throw badRequest(`'${key}' is required`);
  if (typeof value !== 'string') throw badRequest(`'${key}' must be a string`);
  return value;
}

function expectedId(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw badRequest("'expected_latest_id' must be a string");
}

function stale(current: StoredConfig | undefined, expected: string): ReplyThrown {
  const latest = String(current?.id ?? 0);
  return new ReplyThrown(json({ latest_id: latest, expected_latest_id: expected, description: `Latest Id: '${latest}' does not match expected latest id` }, 412));
}

/** Adds the version and its audit event. */
export async function addVersion(
  tx: Tx,
  request: ApiRequest,
  version: { type: string; name: string; content: string; team: string | undefined; eventType: string; action: string },
): Promise<StoredConfig> {
  const { eventType, action, ...config } = version;
  const stored = await createConfig(tx, config);
  await recordEvent(tx, { user: request.principal.username, action, objectType: eventType, objectName: version.name, context: { id: String(stored.id) } });
  return stored;
}

export async function remove(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const config = await getConfig(deps, request.param('id'));
  requireAccess(request.principal, accessTo(deps, config, 'config:admin'));
  await deps.db.transaction(async (tx) => {
    await deleteConfig(tx, config.id);
    await recordDeletion(tx, request, config);
  });
  return empty();
}

export async function removeAll(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const type = requiredText('type', request.query.get('type'));
  const name = requiredText('name', request.query.get('name'));
  const current = await findCurrentConfig(deps.db, type, name);
  if (!current) return text(404, `Endpoint '${request.path}' not found.`);
  requireAccess(request.principal, accessTo(deps, current, 'config:admin'));
  await deps.db.transaction(async (tx) => {
    if ((await deleteAllVersions(tx, type, name)) > 0) await recordDeletion(tx, request, { type, name });
  });
  return empty();
}

function recordDeletion(tx: Tx, request: ApiRequest, config: { type: string; name: string; id?: number }): Promise<number> {
  const context = config.id === undefined ? {} : { id: String(config.id) };
  return recordEvent(tx, { user: request.principal.username, action: 'delete', objectType: `config/${config.type}`, objectName: config.name, context });
}

import { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { DirectorError, code } from '../core/errors';
import { recordEvent } from '../events/store';
import { isResurrectionPaused, listOrphanedVms, setResurrectionPaused } from '../instances/store';
import { listLocks } from '../tasks/store';
import type { ApiDeps } from './deps';
import { presentLock, presentOrphanedVm } from './present';
import { parseRange } from './range';
import { empty, json, stream, text, type Reply } from './reply';
import type { ApiRequest } from './route';

/** What concerns the director as a whole. */

export async function locks(deps: ApiDeps): Promise<Reply> {
  return json((await listLocks(deps.db)).map(presentLock));
}

export async function resurrection(deps: ApiDeps): Promise<Reply> {
  return json({ resurrection: !(await isResurrectionPaused(deps.db)) });
}

const resurrectionBody = z.object({ resurrection_paused: z.boolean() });

export async function pauseResurrection(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const { resurrection_paused: paused } = await request.body.jsonOf(resurrectionBody);
  await deps.db.transaction(async (tx) => {
    await setResurrectionPaused(tx, paused);
    await recordEvent(tx, { user: request.principal.username, action: 'update', objectType: 'resurrection', context: { paused } });
  });
  return empty(200);
}

const dayMs = 24 * 60 * 60 * 1000;

/** Days until the director's certificates expire. Negative once they have. */
export async function certificateExpiry(deps: ApiDeps): Promise<Reply> {
  return json(
    deps.director.certificates.map(({ name, pem }) => {
      const expiry = new Date(new X509Certificate(pem).validTo);
      return { certificate_path: name, expiry: `${expiry.toISOString().slice(0, 19)}Z`, days_left: Math.floor((expiry.getTime() - deps.clock.now()) / dayMs) };
    }),
  );
}

export async function orphanedVms(deps: ApiDeps): Promise<Reply> {
  return json((await listOrphanedVms(deps.db)).map(presentOrphanedVm));
}

/** Of things that this version never makes, such as dynamic disks. */
export async function emptyList(): Promise<Reply> {
  return json([]);
}

/** A blob, e.g. the result of a task; a part of it when a range is asked for. */
export async function resource(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const id = request.param('id');
  const size = await deps.blobstore.size(id);
  if (size === undefined) throw new DirectorError(code.resourceNotFound, `Resource '${id}' not found in the blobstore`);
  const range = parseRange(request.headers.range, size);
  if (range.kind === 'unsatisfiable') {
    const reply = text(416, '');
    return { ...reply, headers: { ...reply.headers, 'content-range': `bytes */${size}` }, plain: true };
  }
  const headers = { 'content-type': 'application/x-gzip', 'accept-ranges': 'bytes' };
  if (range.kind === 'all') return { ...stream(await deps.blobstore.get(id), { ...headers, 'content-length': size }), plain: true };
  const { start, end } = range;
  const part = await deps.blobstore.get(id, { range: { start, end: end - 1 } });
  return { ...stream(part, { ...headers, 'content-length': end - start, 'content-range': `bytes ${start}-${end - 1}/${size}` }, 206), plain: true };
}

import { parseManifestYaml } from '../core/yaml';
import { isPackageBlob } from '../releases/catalogue-store';
import { matchManifest } from '../releases/match-manifest';
import type { ApiDeps } from './deps';
import { json, stream, text, type Reply } from './reply';
import type { ApiRequest } from './route';

/** What the CLI asks before it uploads a release: which packages it may leave out of the archive. */
export async function matches(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  return json(await matchManifest(deps.db, parseManifestYaml(await request.body.text()), 'source'));
}

export async function matchesCompiled(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  return json(await matchManifest(deps.db, parseManifestYaml(await request.body.text()), 'compiled'));
}

/** A package's source archive. */
export async function showBlob(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const id = request.param('id');
  const size = (await isPackageBlob(deps.db, id)) ? await deps.blobstore.size(id) : undefined;
  if (size === undefined) return text(400, `Package with blobstore id: ${id} does not exist`);
  return stream(await deps.blobstore.get(id), { 'content-type': 'application/x-gzip', 'content-length': size, 'content-disposition': `attachment; filename="${id}.tgz"` });
}

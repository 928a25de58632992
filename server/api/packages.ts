import { DirectorError, code } from '../core/errors';
import { isHash, parseManifestYaml, type Hash } from '../core/yaml';
import { isIncomplete, isPackageBlob, matchOffers, matchPackages } from '../releases/catalogue-store';
import type { ApiDeps } from './deps';
import { json, stream, text, type Reply } from './reply';
import type { ApiRequest } from './route';

/**
 * What the CLI asks before it uploads a release: which packages it may leave out of the archive.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/packages_controller.rb.
 */
export async function matches(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const { manifest, entries } = await releaseManifest(request, 'packages');
  if (await isIncomplete(deps.db, String(manifest.name), String(manifest.version))) return json([]);
  return json(await matchPackages(deps.db, entries.map((entry) => String(entry.fingerprint))));
}

export async function matchesCompiled(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const { manifest, entries } = await releaseManifest(request, 'compiled_packages');
  if (await isIncomplete(deps.db, String(manifest.name), String(manifest.version))) return json([]);
  const offers = entries.map((entry) => ({
    name: String(entry.name), version: String(entry.version), fingerprint: String(entry.fingerprint), stemcell: String(entry.stemcell),
    dependencies: Array.isArray(entry.dependencies) ? entry.dependencies.map(String) : [],
  }));
  return json(await matchOffers(deps.db, offers));
}

async function releaseManifest(request: ApiRequest, key: 'packages' | 'compiled_packages'): Promise<{ manifest: Hash; entries: Hash[] }> {
  const manifest = parseManifestYaml(await request.body.text());
  const entries = manifest[key];
  if (Array.isArray(entries) && entries.every((entry): entry is Hash => isHash(entry) && entry.fingerprint !== undefined && entry.name !== undefined)) return { manifest, entries };
  throw new DirectorError(code.badManifest, `Manifest doesn't have a usable ${key} section`);
}

/** A package's source archive. */
export async function showBlob(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const id = request.param('id');
  const size = (await isPackageBlob(deps.db, id)) ? await deps.blobstore.size(id) : undefined;
  if (size === undefined) return text(400, `Package with blobstore id: ${id} does not exist`);
  return stream(await deps.blobstore.get(id), { 'content-type': 'application/x-gzip', 'content-length': size, 'content-disposition': `attachment; filename="${id}.tgz"` });
}

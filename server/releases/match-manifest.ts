import type { Db } from '../../db/client';
import { isIncomplete, matchOffers, matchPackages } from './catalogue-store';
import { parseMatchRequest } from './manifest';

/**
 * Answers `POST /packages/matches` and `/packages/matches_compiled`: fingerprints of packages that need no upload, because the
 * director has them. `manifest` is the parsed release manifest. None while an earlier upload of the version is unfinished.
 * Throws 440001.
 */
export async function matchManifest(db: Db, manifest: unknown, kind: 'source' | 'compiled'): Promise<string[]> {
  const request = parseMatchRequest(manifest, kind === 'source' ? 'packages' : 'compiled_packages');
  if (request.name !== undefined && request.version !== undefined && (await isIncomplete(db, request.name, request.version))) return [];
  return kind === 'source' ? matchPackages(db, request.packages.map((pkg) => pkg.fingerprint)) : matchOffers(db, request.packages);
}

import { optionalField, requiredField } from '../core/fields';
import type { ManifestRelease } from './manifest';

/**
 * One entry of `releases`, of a manifest or of a runtime config; keys that only the CLI needs (`url`, `sha1`, `stemcell`) are ignored.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/release_version.rb, release_version_exported_from.rb.
 */
export function parseRelease(spec: unknown): ManifestRelease {
  const name = requiredField(spec, 'name', 'String');
  const version = requiredField(spec, 'version', 'String');
  const exportedFrom = (optionalField(spec, 'exported_from', 'Array') ?? []).map((stemcell) => ({ os: requiredField(stemcell, 'os', 'String'), version: requiredField(stemcell, 'version', 'String') }));
  return { name, version, exportedFrom };
}

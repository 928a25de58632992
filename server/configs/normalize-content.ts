import { isHash } from '../core/yaml';
import { dumpYaml } from '../core/yaml-dump';
import { parseConfigContent } from './parse';

/**
 * A config's text as it is stored. Runtime configs are written anew with every release version as text, so that `1.10`
 * is not read as the number 1.1. Throws 440011 when it is no YAML hash.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/runtime_config_manager.rb.
 */
export function normalizeConfigContent(type: string, content: string): string {
  const document = parseConfigContent(content);
  if (type !== 'runtime') return content;
  const { releases } = document;
  if (!Array.isArray(releases)) return `---\n${dumpYaml(document)}`;
  const withText = releases.map((release: unknown) => (isHash(release) && typeof release.version === 'number' ? { ...release, version: String(release.version) } : release));
  return `---\n${dumpYaml({ ...document, releases: withText })}`;
}

import { isHash, type Hash } from '../core/yaml';

const redacted = '<redacted>';
const secretKeys: ReadonlySet<string> = new Set(['properties', 'bosh']);

/**
 * A document as it may be shown: every value below a hash named `properties` or `bosh` is replaced, and so are user and
 * password in the URLs of releases. Lists and hashes keep their shape.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/manifest/redactor.rb.
 */
export function redactDocument(document: Hash): Hash {
  const shown: Hash = Object.fromEntries(Object.entries(document).map(([key, value]) => [key, redactKey(key, value)]));
  if (Array.isArray(shown.releases)) shown.releases = shown.releases.map((release) => (isHash(release) && typeof release.url === 'string' ? { ...release, url: redactUrl(release.url) } : release));
  return shown;
}

function redactKey(key: string, value: unknown): unknown {
  return secretKeys.has(key) && isHash(value) ? redactAll(value) : redactKnown(value);
}

function redactKnown(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redactKnown);
  if (!isHash(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redactKey(key, item)]));
}

function redactAll(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(redactAll);
  if (!isHash(value)) return redacted;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redactAll(item)]));
}

/** Hides user and password of a URL. */
function redactUrl(url: string): string {
  return url.replace(/^([a-z][a-z0-9+.-]*:\/\/)([^@/]*)@/i, (_all, scheme: string, userInfo: string) => `${scheme}${userInfo.split(':').map((part) => (part === '' ? '' : redacted)).join(':')}@`);
}

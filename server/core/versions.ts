/**
 * Semi-semantic versions of releases and stemcells: `release[-pre][+post]`, segments of components separated by dots.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/version and the semi_semantic gem.
 */
export interface Version {
  release: Segment;
  preRelease: Segment | undefined;
  postRelease: Segment | undefined;
}

/** Digits-only components are numbers, all others text. */
type Segment = readonly (bigint | string)[];

const pattern = /^([0-9A-Za-z_.]+)(?:-([0-9A-Za-z_.-]+))?(?:\+([0-9A-Za-z_.-]+))?$/;
const oldDevelopmentVersion = /^(.*)\.([0-9]+)-dev$/s;
const developmentVersion = /^(.*)\+dev\.([0-9]+)$/s;

/** Undefined when the text is not a version. */
function parse(text: string): Version | undefined {
  const match = pattern.exec(text);
  if (!match?.[1]) return undefined;
  const release = parseSegment(match[1]);
  const preRelease = match[2] === undefined ? undefined : parseSegment(match[2]);
  const postRelease = match[3] === undefined ? undefined : parseSegment(match[3]);
  if (!release || (match[2] !== undefined && !preRelease) || (match[3] !== undefined && !postRelease)) return undefined;
  return { release, preRelease, postRelease };
}

function parseSegment(text: string): Segment | undefined {
  const components = text.split('.');
  if (components.includes('')) return undefined;
  return components.map((component) => (/^[0-9]+$/.test(component) ? BigInt(component) : component));
}

/** A release's version; the old development notation `1.2-dev` is read as `1+dev.2`. Undefined when the text is not a version. */
export function parseReleaseVersion(text: string): Version | undefined {
  return parse(text.replace(oldDevelopmentVersion, '$1+dev.$2'));
}

/** A stemcell's version; `_` counts as `.`. Undefined when the text is not a version. */
export function parseStemcellVersion(text: string): Version | undefined {
  return parse(text.replaceAll('_', '.'));
}

export function formatVersion(version: Version): string {
  const join = (segment: Segment) => segment.map(String).join('.');
  return join(version.release) + (version.preRelease ? `-${join(version.preRelease)}` : '') + (version.postRelease ? `+${join(version.postRelease)}` : '');
}

/** The same version in the other notation for development versions: `1+dev.2` for `1.2-dev` and back; undefined when there is none. */
export function otherNotation(text: string): string | undefined {
  if (oldDevelopmentVersion.test(text)) return text.replace(oldDevelopmentVersion, '$1+dev.$2');
  if (developmentVersion.test(text)) return text.replace(developmentVersion, '$1.$2-dev');
  return undefined;
}

/** Negative when `a` is older. A pre-release is older than its release, a post-release newer. */
export function compareVersions(a: Version, b: Version): number {
  return compareSegments(a.release, b.release) || compareOptional(a.preRelease, b.preRelease, 1) || compareOptional(a.postRelease, b.postRelease, -1);
}

/** `absent`: what a missing segment counts as against a present one. */
function compareOptional(a: Segment | undefined, b: Segment | undefined, absent: 1 | -1): number {
  if (a && b) return compareSegments(a, b);
  if (a) return -absent;
  return b ? absent : 0;
}

/** Components that are missing count as zero: `1` equals `1.0`. */
function compareSegments(a: Segment, b: Segment): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const left = a[at] ?? 0n;
    const right = b[at] ?? 0n;
    if (typeof left !== typeof right) return typeof left === 'bigint' ? -1 : 1;
    if (left !== right) return left < right ? -1 : 1;
  }
  return 0;
}

/** Orders version texts of a kind; texts that are not versions come first. */
function compareTexts(read: (text: string) => Version | undefined): (a: string, b: string) => number {
  return (a, b) => {
    const left = read(a);
    const right = read(b);
    if (left && right) return compareVersions(left, right);
    return left ? 1 : right ? -1 : 0;
  };
}

export const compareReleaseVersions = compareTexts(parseReleaseVersion);
export const compareStemcellVersions = compareTexts(parseStemcellVersion);

/**
 * The version that a manifest's `wanted` means, of those that exist: `latest`, `<prefix>.latest`, or a version as text
 * (for releases in either notation). Undefined when none fits.
 */
export function resolveVersion(wanted: string, existing: readonly string[], kind: 'release' | 'stemcell'): string | undefined {
  const compare = kind === 'release' ? compareReleaseVersions : compareStemcellVersions;
  const newest = (versions: readonly string[]) => [...versions].sort(compare).at(-1);
  if (wanted === 'latest') return newest(existing);
  if (wanted.endsWith('.latest')) {
    const prefix = wanted.slice(0, -'.latest'.length);
    return newest(existing.filter((version) => version.startsWith(prefix) && /^(?:[.\-+]|$)/.test(version.slice(prefix.length))));
  }
  if (existing.includes(wanted)) return wanted;
  const other = kind === 'release' ? otherNotation(wanted) : undefined;
  return other !== undefined && existing.includes(other) ? other : undefined;
}

/** Whether something compiled for one stemcell version may run on the other: the first components are equal. */
export function stemcellVersionsMatch(a: string, b: string): boolean {
  const left = parseStemcellVersion(a)?.release[0];
  const right = parseStemcellVersion(b)?.release[0];
  return left !== undefined && left === right;
}

/**
 * The next development version after the existing ones of the same release and pre-release: `+dev.1`, then one more than the last.
 * Undefined when the version has no post-release to count, or the last one's does not end in a number.
 */
export function rebaseVersion(version: Version, existing: readonly Version[]): Version | undefined {
  if (!version.postRelease) return undefined;
  const siblings = existing.filter(
    (other) => compareSegments(other.release, version.release) === 0 && compareOptional(other.preRelease, version.preRelease, 1) === 0,
  );
  const latest = siblings.sort(compareVersions).at(-1);
  if (!latest?.postRelease) return { ...(latest ?? version), postRelease: ['dev', 1n] };
  const last = latest.postRelease.at(-1);
  if (typeof last !== 'bigint') return undefined;
  return { ...latest, postRelease: [...latest.postRelease.slice(0, -1), last + 1n] };
}

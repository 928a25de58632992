import type { Database } from '../../db/client';
import { parseConfigContent } from '../configs/parse';
import { listApplicable, listConfigsById, type StoredConfig } from '../configs/store';
import { isHash, parseManifestYaml, type Hash } from '../core/yaml';
import { listReleases } from '../releases/catalogue-store';
import { loadStemcells } from '../stemcells/store';
import type { Catalogue } from './artifacts';
import { diffDeployment, type DeploymentDocuments, type DiffLine } from './diff';
import { findManifest, listUsedConfigs, type Deployment } from './store';

/** What a deploy of an uploaded manifest would be compared with. */
export interface UploadedManifest {
  name: string;
  /** YAML. */
  text: string;
  /** Undefined: it does not exist yet. */
  deployment: Deployment | undefined;
  /** Whose configs apply beside those of everybody: the deployment's, or those that its first deploy would give it. */
  teams: readonly string[];
  redact: boolean;
}

/** The difference that the CLI shows before a deploy, and the configs that apply now. Throws for malformed documents. */
export async function diffUploaded(db: Database, { name, text, deployment, teams, redact }: UploadedManifest): Promise<{ diff: DiffLine[]; configIds: { cloud: number[]; runtime: number[] } }> {
  const cloud = await listApplicable(db, 'cloud', teams);
  const runtime = await listApplicable(db, 'runtime', teams);
  const before = deployment && (await documentsOf(db, deployment));
  const diff = diffDeployment({
    ...(before ? { before } : {}),
    after: { manifest: { ...parseManifestYaml(text), name }, cloudConfigs: cloud.map(documentOf), runtimeConfigs: runtime.map(documentOf) },
    teams,
    catalogue: await catalogueOf(db),
    redact,
  });
  return { diff, configIds: { cloud: cloud.map((config) => config.id), runtime: runtime.map((config) => config.id) } };
}

const documentOf = (config: Pick<StoredConfig, 'content'>): Hash => parseConfigContent(config.content);

/** What is deployed now; undefined before the first successful deploy. */
async function documentsOf(db: Database, deployment: Deployment): Promise<DeploymentDocuments | undefined> {
  const recorded = await findManifest(db, deployment.id);
  if (recorded.text === undefined) return undefined;
  const used = await listUsedConfigs(db, [deployment.name]);
  const configs = await listConfigsById(db, used.map((config) => config.configId));
  const documents = (type: string) => configs.filter((config) => config.type === type).map(documentOf);
  return { manifest: withRecordedVersions(parseManifestYaml(recorded.text), recorded.resolved ?? {}), cloudConfigs: documents('cloud'), runtimeConfigs: documents('runtime') };
}

/** The manifest as uploaded, but where it says `latest`, the version that was deployed. The recorded form has lost the order of keys. */
function withRecordedVersions(manifest: Hash, recorded: Hash): Hash {
  return { ...manifest, ...versionsFrom('releases', 'name', manifest, recorded), ...versionsFrom('stemcells', 'alias', manifest, recorded) };
}

function versionsFrom(list: string, key: string, manifest: Hash, recorded: Hash): Hash {
  const entries = manifest[list];
  const known = recorded[list];
  if (!Array.isArray(entries) || !Array.isArray(known)) return {};
  return {
    [list]: entries.map((entry: unknown) => {
      const match = isHash(entry) ? known.filter(isHash).find((candidate) => candidate[key] === entry[key]) : undefined;
      return isHash(entry) && match && entry.version !== undefined ? { ...entry, version: match.version } : entry;
    }),
  };
}

async function catalogueOf(db: Database): Promise<Catalogue> {
  const releases = await listReleases(db);
  return { releases: releases.flatMap((release) => release.versions.map(({ version }) => ({ name: release.name, version }))), stemcells: await loadStemcells(db) };
}

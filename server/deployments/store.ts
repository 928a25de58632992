import { eq, inArray, sql } from 'drizzle-orm';
import { isUniqueViolation, type Database, type Db, type Tx } from '../../db/client';
import { configs } from '../../db/schema/configs';
import { deploymentConfigs, deployments } from '../../db/schema/deployments';
import { DirectorError, code } from '../core/errors';
import { canonicalName } from '../core/names';

/** Deployments as the APIs read and create them; what a deploy records about them is in `deploy/store.ts`. */
export interface Deployment {
  id: number;
  name: string;
  teams: string[];
}

export interface ListedDeployment extends Deployment {
  createdAt: Date;
  /** By name. Undefined when not asked for; so are the others. */
  releases?: NamedVersion[];
  stemcells?: NamedVersion[];
  /** Whether the cloud configs it was deployed with are those that a deploy would use now. */
  cloudConfig?: 'none' | 'latest' | 'outdated';
  /** A running task holds the deployment's lock. */
  locked?: boolean;
}

export interface NamedVersion {
  name: string;
  version: string;
}

/** Costly parts of the list, each left out when false. */
export interface DeploymentParts {
  releases: boolean;
  stemcells: boolean;
  configs: boolean;
  lock: boolean;
}

const releasesOf = sql<NamedVersion[]>`COALESCE((
  SELECT json_agg(json_build_object('name', r.name, 'version', v.version) ORDER BY r.name, v.version) FROM deployment_release_versions x
  JOIN release_versions v ON v.id = x.release_version_id JOIN releases r ON r.id = v.release_id WHERE x.deployment_id = deployments.id), '[]'::json)`;
const stemcellsOf = sql<NamedVersion[]>`COALESCE((
  SELECT json_agg(json_build_object('name', s.name, 'version', s.version) ORDER BY s.name, s.version) FROM (
    SELECT DISTINCT c.name, c.version FROM deployment_stemcells x JOIN stemcells c ON c.id = x.stemcell_id WHERE x.deployment_id = deployments.id) s), '[]'::json)`;
const usedCloudConfigs = sql`ARRAY(
  SELECT c.id FROM deployment_configs x JOIN configs c ON c.id = x.config_id WHERE x.deployment_id = deployments.id AND c.type = 'cloud' ORDER BY c.name)`;
const applicableCloudConfigs = sql`ARRAY(
  SELECT DISTINCT ON (c.name) c.id FROM configs c
  WHERE c.type = 'cloud' AND NOT c.deleted AND (c.team IS NULL OR c.team = ANY(deployments.teams)) ORDER BY c.name, c.id DESC)`;
const cloudConfigOf = sql<'none' | 'latest' | 'outdated'>`CASE ${usedCloudConfigs} WHEN ARRAY[]::integer[] THEN 'none' WHEN ${applicableCloudConfigs} THEN 'latest' ELSE 'outdated' END`;
const lockedOf = sql<boolean>`EXISTS (
  SELECT 1 FROM locks l JOIN tasks t ON t.id = l.task_id WHERE l.name = 'lock:deployment:' || deployments.name AND t.state IN ('processing', 'cancelling'))`;
const absent = sql<null>`NULL`;

function prepare(db: Database) {
  const list = (parts: DeploymentParts) =>
    db
      .select({
        id: deployments.id, name: deployments.name, teams: deployments.teams, createdAt: deployments.createdAt,
        releases: parts.releases ? releasesOf : absent,
        stemcells: parts.stemcells ? stemcellsOf : absent,
        cloudConfig: parts.configs ? cloudConfigOf : absent,
        locked: parts.lock ? lockedOf : absent,
      })
      .from(deployments)
      .orderBy(deployments.name)
      .prepare(`deployments_${[parts.releases, parts.stemcells, parts.configs, parts.lock].map(Number).join('')}`);
  const lists = new Map<string, ReturnType<typeof list>>();
  return {
    list: (parts: DeploymentParts) => {
      const key = JSON.stringify(parts);
      const found = lists.get(key) ?? list(parts);
      lists.set(key, found);
      return found;
    },
    find: db
      .select({ id: deployments.id, name: deployments.name, teams: deployments.teams })
      .from(deployments)
      .where(eq(deployments.name, sql.placeholder('name')))
      .prepare('deployment_by_name'),
  };
}

const prepared = new WeakMap<Database, ReturnType<typeof prepare>>();
function statements(db: Database): ReturnType<typeof prepare> {
  const found = prepared.get(db) ?? prepare(db);
  prepared.set(db, found);
  return found;
}

/** All deployments by name; one query. */
export async function listDeployments(db: Database, parts: DeploymentParts): Promise<ListedDeployment[]> {
  const rows = await statements(db).list(parts).execute();
  return rows.map((row) => ({
    id: row.id, name: row.name, teams: row.teams, createdAt: row.createdAt,
    ...(row.releases ? { releases: row.releases } : {}),
    ...(row.stemcells ? { stemcells: row.stemcells } : {}),
    ...(row.cloudConfig ? { cloudConfig: row.cloudConfig } : {}),
    ...(row.locked === null ? {} : { locked: row.locked }),
  }));
}

export async function findDeployment(db: Database, name: string): Promise<Deployment | undefined> {
  const [row] = await statements(db).find.execute({ name });
  return row;
}

/** The deployment; throws 70000 when there is none. */
export async function getDeployment(db: Database, name: string): Promise<Deployment> {
  const found = await findDeployment(db, name);
  if (!found) throw new DirectorError(code.deploymentNotFound, `Deployment '${name}' doesn't exist`);
  return found;
}

/** Manifest of the last successful deploy: its text as uploaded and resolved; both undefined before the first. */
export async function findManifest(db: Db, deploymentId: number): Promise<{ text: string | undefined; resolved: Record<string, unknown> | undefined }> {
  const [row] = await db.select({ text: deployments.manifestText, resolved: deployments.manifest }).from(deployments).where(eq(deployments.id, deploymentId));
  return { text: row?.text ?? undefined, resolved: row?.resolved ?? undefined };
}

/**
 * Makes sure that the deployment is recorded, before its first task exists; an existing one keeps its teams.
 * Throws 190009 when another deployment has the same canonical name, 420001 when there is none.
 */
export async function ensureDeployment(tx: Tx, wanted: { name: string; teams: readonly string[] }): Promise<Deployment & { created: boolean; deployedBefore: boolean }> {
  const canonical = canonicalName(wanted.name);
  const values = { name: wanted.name, canonicalName: canonical, teams: [...wanted.teams] };
  const columns = { id: deployments.id, name: deployments.name, teams: deployments.teams };
  const [created] = await insertUnlessTaken(() => tx.transaction((inner) => inner.insert(deployments).values(values).onConflictDoNothing({ target: deployments.name }).returning(columns)));
  if (created) return { ...created, created: true, deployedBefore: false };
  const [found] = await tx.select({ ...columns, deployedBefore: sql<boolean>`${deployments.manifestText} IS NOT NULL` }).from(deployments).where(eq(deployments.name, wanted.name));
  if (found) return { ...found, created: false };
  const [holder] = await tx.select({ name: deployments.name }).from(deployments).where(eq(deployments.canonicalName, canonical));
  throw new DirectorError(
    code.deploymentCanonicalNameTaken,
    `Invalid deployment name '${wanted.name}', canonical name already taken ('${canonical}'${holder ? ` by deployment '${holder.name}'` : ''}): choose another name`,
  );
}

/** The configs of a new deployment: work on what it has goes by them until its first deploy succeeds, which notes its own. */
export async function pinConfigs(tx: Tx, deploymentId: number, configIds: readonly number[]): Promise<void> {
  if (configIds.length > 0) await tx.insert(deploymentConfigs).values(configIds.map((configId) => ({ deploymentId, configId }))).onConflictDoNothing();
}

/** The insert's rows; none when a unique constraint refused them. */
async function insertUnlessTaken<T>(insert: () => Promise<T[]>): Promise<T[]> {
  try {
    return await insert();
  } catch (error) {
    if (isUniqueViolation(error)) return [];
    throw error;
  }
}

export interface UsedConfig {
  deploymentId: number;
  deployment: string;
  teams: string[];
  configId: number;
  type: string;
  name: string;
}

/** The configs that the named deployments were last deployed with. */
export async function listUsedConfigs(db: Db, names: readonly string[]): Promise<UsedConfig[]> {
  if (names.length === 0) return [];
  return db
    .select({ deploymentId: deployments.id, deployment: deployments.name, teams: deployments.teams, configId: configs.id, type: configs.type, name: configs.name })
    .from(deploymentConfigs)
    .innerJoin(deployments, eq(deployments.id, deploymentConfigs.deploymentId))
    .innerJoin(configs, eq(configs.id, deploymentConfigs.configId))
    .where(inArray(deployments.name, [...names]))
    .orderBy(deployments.name, deploymentConfigs.id);
}

/** Jobs of the releases that a deployment uses, with the targets of their templates. */
export async function listJobTargets(db: Db, deploymentId: number): Promise<{ release: string; job: string; targets: string[] }[]> {
  const { rows } = await db.execute<{ release: string; job: string; targets: string[] }>(sql`
    SELECT r.name AS release, j.name AS job,
      COALESCE((SELECT array_agg(t.value #>> '{}') FROM jsonb_each(CASE jsonb_typeof(j.spec->'templates') WHEN 'object' THEN j.spec->'templates' END) t), '{}'::text[]) AS targets
    FROM deployment_release_versions x JOIN release_versions v ON v.id = x.release_version_id JOIN releases r ON r.id = v.release_id
    JOIN release_version_jobs y ON y.release_version_id = v.id JOIN jobs j ON j.id = y.job_id
    WHERE x.deployment_id = ${deploymentId}`);
  return rows;
}

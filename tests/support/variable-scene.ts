import { randomUUID } from 'node:crypto';
import { sql } from 'drizzle-orm';
import * as t from '../../db/schema';
import type { Agent, Agents } from '../../server/agents/agent';
import type { ApiDeps } from '../../server/api/deps';
import { CpiError } from '../../server/cpi/errors';
import type { VmCalls } from '../../server/cpi/vm-calls';
import type { DeployDeps } from '../../server/deploy/ports';
import { updateDeployment } from '../../server/task-types/deployments';
import { RenderError } from '../../server/templates/errors';
import type { RenderJob } from '../../server/templates/render-job';
import type { VariableBackend } from '../../server/variables/backend';
import { sha1Hex } from '../../server/core/digest';
import { startTestNode, type TestNode, type TestStore } from './director-parts';
import { noDisks } from './fake-disks';
import { tgz } from './fixtures';
import { startRestServer, type RestServer } from './rest-server';

/** A director whose deploys are real but for clouds, agents and Ruby: those note what they are given. */
export interface VariableScene {
  rest: RestServer;
  node: TestNode;
  /** Arguments of every create_vm. */
  created: Record<string, unknown>[];
  /** Properties and links of every job that was rendered. */
  rendered: { group: string; job: string; properties: unknown; links: unknown }[];
  /** What `create_vm` and rendering fail with; undefined: they succeed. */
  failures: { createVm?: ((given: string) => string) | undefined; render?: ((given: string) => string) | undefined };
  /** Runs a deploy to its end; returns the task. */
  deploy(manifest: string, query?: string): Promise<{ id: number; state: string; result: string }>;
  output(task: number): Promise<string>;
  /** Every row of every table, without what is sealed. */
  dump(): Promise<string>;
  close(): Promise<void>;
}

export async function startVariableScene(store: TestStore, variables: VariableBackend): Promise<VariableScene> {
  const scene: Pick<VariableScene, 'created' | 'rendered' | 'failures'> = { created: [], rendered: [], failures: {} };
  const deps = depsOf(store, scene, variables);
  const node = await startTestNode({ store, name: 'A', perform: (ctx, _type, payload) => updateDeployment.perform(ctx, deps, updateDeployment.payload.parse(payload)) });
  const rest = await startRestServer(store, { change: (api): ApiDeps => ({ ...api, variables }) });
  const { db } = store.connections;
  await uploadArtifacts(store);
  /** The same request means new work from now on. */
  const seen = async (task: number) => {
    await rest.call('GET', `/tasks/${task}`);
    while ((await db.execute(sql`SELECT id FROM accepted_requests WHERE answered_at IS NULL`)).rows.length > 0) await new Promise((resolve) => setTimeout(resolve, 5));
  };
  return {
    ...scene, rest, node,
    deploy: async (manifest, query = '') => {
      const answer = await rest.call('POST', `/deployments${query}`, { type: 'text/yaml', body: manifest });
      const id = Number(/^\/tasks\/(\d+)$/.exec(String(answer.headers.location))?.[1]);
      for (;;) {
        const { rows } = await db.execute<{ state: string; result: string }>(sql`SELECT state, coalesce(result, '') AS result FROM tasks WHERE id = ${id}`);
        const [row] = rows;
        if (!row || !['queued', 'processing', 'cancelling'].includes(row.state)) {
          await seen(id);
          return { id, state: row?.state ?? 'gone', result: row?.result ?? answer.body };
        }
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    output: async (task) => (await Promise.all(['event', 'result', 'debug', 'cpi'].map(async (type) => (await rest.call('GET', `/tasks/${task}/output?type=${type}`)).body))).join('\n'),
    dump: () => dumpTables(store),
    close: async () => {
      await node.stop();
      await rest.close();
    },
  };
}

async function dumpTables(store: TestStore): Promise<string> {
  const { db } = store.connections;
  const { rows } = await db.execute<{ table: string; column: string; type: string }>(sql`SELECT table_name AS table, column_name AS column, data_type AS type FROM information_schema.columns WHERE table_schema = 'public'`);
  const texts = await Promise.all(rows.filter(({ column }) => column !== 'sealed').map(async ({ table, column, type }) => {
    const value = type === 'bytea' ? sql`encode(${sql.identifier(column)}, 'escape')` : sql`${sql.identifier(column)}::text`;
    const found = await db.execute<{ text: string | null }>(sql`SELECT string_agg(${value}, E'\n') AS text FROM ${sql.identifier(table)}`);
    return `${table}.${column}: ${found.rows[0]?.text ?? ''}`;
  }));
  return texts.join('\n');
}

const jobSpecs = [
  { name: 'app', properties: { secret: {}, url: {}, tls: {}, user: {}, key: {}, legacy: {}, shared: {} }, consumes: [{ name: 'db', type: 'sql', optional: true }, { name: 'outside', type: 'ext', optional: true }], provides: [{ name: 'web', type: 'address' }] },
  { name: 'db', properties: { password: {} }, provides: [{ name: 'sql', type: 'sql', properties: ['password'] }] },
  { name: 'extra', properties: { token: {} } },
];

async function uploadArtifacts(store: TestStore): Promise<void> {
  const { db } = store.connections;
  const [release] = await db.insert(t.releases).values({ name: 'rel' }).returning();
  const [version] = await db.insert(t.releaseVersions).values({ releaseId: release?.id ?? 0, version: '1', updateCompleted: true }).returning();
  for (const spec of jobSpecs) {
    const archive = await tgz([{ name: './job.MF', content: JSON.stringify({ ...spec, templates: { 'a.erb': 'a' }, packages: [] }) }, { name: './monit', content: '' }, { name: './templates/a.erb', content: '' }]);
    const blob = await store.blobstore.put(archive);
    const [job] = await db.insert(t.jobs).values({ releaseId: release?.id ?? 0, name: spec.name, version: sha1Hex(spec.name), fingerprint: sha1Hex(spec.name), blobstoreId: blob.id, sha1: blob.sha1, spec, packages: [] }).returning();
    await db.insert(t.releaseVersionJobs).values({ releaseVersionId: version?.id ?? 0, jobId: job?.id ?? 0 });
  }
  await db.insert(t.stemcells).values(['1', '2'].map((stemcell) => ({ name: 'ubuntu', operatingSystem: 'ubuntu', version: stemcell, apiVersion: 2, cid: `sc-${stemcell}` })));
}

type Noted = Pick<VariableScene, 'created' | 'rendered' | 'failures'>;

function depsOf(store: TestStore, scene: Noted, variables: VariableBackend): DeployDeps {
  const certificate = async () => ({ ca: '', certificate: '', private_key: '' });
  return {
    db: store.connections.db, blobstore: store.blobstore, variables, agents: agentsOf(), cpi: () => cloudOf(scene), disks: noDisks,
    renderer: {
      render: async (job) => {
        const given = noteRendering(scene, job);
        const failure = scene.failures.render?.(given);
        if (failure !== undefined) throw new RenderError(job.jobName, [{ template: 'a.erb', line: '1', message: failure }]);
        return { jobName: job.jobName, monit: Buffer.from(''), files: [{ src: 'a.erb', dest: 'a', content: Buffer.from(given) }] };
      },
    },
    nats: { bootstrapCertificate: certificate, permanentCertificate: certificate, movedUrls: async () => undefined, awaitAuthorised: async () => undefined },
    settings: {
      director: { name: 'dir', uuid: 'deadbeef', dnsDomain: 'bosh', localDns: true, useDnsAddresses: false, trustedCertsSha1: 'certs', natsConfigSha1: 'nats', blobstoreConfigSha1: 'blobs', ownAddresses: async () => [] },
      maxThreads: 4, maxVmCreateTries: 1, agentWaitTimeoutMs: 1_000, agentEnv: {}, natsUrls: [], agentBlobstores: [], shortLivedBootstrapCredentials: true, cpiResizesDisks: false, cpiUpdatesDisks: false, snapshots: false,
    },
  };
}

function noteRendering(scene: Noted, { jobName, context }: RenderJob): string {
  scene.rendered.push({ group: context.name, job: jobName, properties: context.properties, links: context.links });
  return JSON.stringify({ properties: context.properties, links: context.links });
}

function cloudOf(scene: Noted): VmCalls {
  return {
    createVm: async (caller, vm) => {
      const given = JSON.stringify(vm);
      // As a CPI that repeats what it was asked in its answer and on stderr.
      caller.log.debug(`[external-cpi] response: ${given}`);
      caller.cpiOutput(`${given}\n`);
      const failure = scene.failures.createVm?.(given);
      if (failure !== undefined) throw new CpiError('Unknown', failure);
      scene.created.push({ ...vm });
      return `vm-${vm.agentId}`;
    },
    deleteVm: async () => undefined,
    hasVm: async () => false,
    setVmMetadata: async () => undefined,
    calculateVmCloudProperties: async () => ({}),
  };
}

function agentsOf(): Agents {
  const unused = async () => {
    throw new Error('this test does not expect that call');
  };
  const agent: Agent = {
    ping: unused, info: unused, getState: async () => ({ job_state: 'running' }), apply: async () => undefined, prepare: async () => undefined, start: async () => undefined, stop: async () => undefined,
    drain: async () => undefined, runScript: async () => undefined, compilePackage: unused, compilePackageWithSignedUrl: unused, updateSettings: async () => undefined,
    uploadBlob: unused, syncDns: unused, listDisk: async () => [], mountDisk: unused, unmountDisk: unused, migrateDisk: unused, addPersistentDisk: unused, removePersistentDisk: unused,
    fetchLogs: unused, runErrand: unused, setUpSsh: unused, cleanUpSsh: unused, getTask: unused, cancelTask: unused, shutdown: unused, deleteArpEntries: unused,
  };
  return { agentFor: () => agent, waitUntilReady: async () => undefined };
}

/** Not a word of any dictionary. */
export function newCanary(kind: string): string {
  return `canary-${kind}-${randomUUID()}`;
}

import { randomUUID } from 'node:crypto';
import { eq } from 'drizzle-orm';
import * as t from '../../db/schema';
import type { Agent, Agents, PackageToCompile } from '../../server/agents/agent';
import type { VmCalls } from '../../server/cpi/vm-calls';
import { deploy } from '../../server/deploy/deploy';
import type { DeployDeps } from '../../server/deploy/ports';
import { ensureDeployment } from '../../server/deployments/store';
import { deferred } from '../../server/core/concurrency';
import { updateRelease } from '../../server/task-types/update-release';
import type { TaskContext } from '../../server/tasks/context';
import { testStore, type TestStore } from './director-parts';
import { noDisks } from './fake-disks';
import { tgz } from './fixtures';
import { mortalBlobstore, testTask, type Points } from './task-context';
import { disabledBackend } from '../../server/variables/disabled';

/** A director without its processes: a database, a blobstore, a cloud and agents in memory that do whatever they are asked at once. */
export interface CompileScene extends TestStore {
  /** Names of packages that were compiled, in order. */
  compiled: string[];
  /** Called before a package is compiled. */
  onCompile: (source: PackageToCompile) => Promise<void>;
  /** Apply specs with jobs, in order. */
  applied: Record<string, unknown>[];
  /** Cloud ids of VMs. */
  vms: Set<string>;
  deps(points?: Points): DeployDeps;
  /** Uploads a release tarball; throws what the task fails with. */
  upload(tarball: Buffer): Promise<void>;
  addStemcell(os: string, version: string): Promise<void>;
  /** Resolves when a deploy waits for a lock that another one has. */
  waitForLock(): Promise<void>;
  /** Deploys with the given cloud config; throws what the task fails with. Returns the lines of its event stream. */
  deploy(name: string, manifestText: string, cloudConfig: string): Promise<Record<string, unknown>[]>;
}

const free: Points = { pass: () => undefined };

export async function compileScene(): Promise<CompileScene> {
  const store = await testStore();
  const { db } = store.connections;
  const locks = memoryLocks();
  const scene: CompileScene = {
    ...store, compiled: [], onCompile: async () => undefined, applied: [], vms: new Set(),
    deps: (points = free) => depsOf(store, scene, points),
    upload: async (tarball) => {
      const { id, sha256 } = await store.blobstore.put(tarball);
      const { error } = await testTask(db).attempt((ctx) => updateRelease.perform(ctx, { db, blobstore: store.blobstore }, { source: { kind: 'blob', blobId: id, sha256 }, fix: false, rebase: false }));
      if (error) throw error;
    },
    addStemcell: async (os, version) => {
      await db.insert(t.stemcells).values({ name: `local-${os}`, operatingSystem: os, version, apiVersion: 3, cid: `sc-${version}` });
    },
    waitForLock: () => locks.waitedFor(),
    deploy: async (name, manifestText, cloudConfig) => {
      const { id } = await db.transaction((tx) => ensureDeployment(tx, { name, teams: [] }));
      const [config] = await db.insert(t.configs).values({ type: 'cloud', name: `default-${id}`, content: cloudConfig }).returning();
      const task = testTask(db);
      const { error } = await locks.hold((withLocks) =>
        task.attempt((ctx) => deploy(withLocks(ctx), scene.deps(), { deployment: name, manifestText, configIds: { cloud: [config?.id ?? 0], runtime: [] }, request: {} }).then(() => '')));
      if (error) throw error;
      return task.events();
    },
  };
  return scene;
}

interface MemoryLocks {
  /** Runs a task whose context has the locks; frees at its end what it still has. */
  hold<T>(task: (withLocks: (ctx: TaskContext) => TaskContext) => Promise<T>): Promise<T>;
  waitedFor(): Promise<void>;
}

/** Named locks of which each has one holder; the others wait in the order in which they came. */
function memoryLocks(): MemoryLocks {
  const last = new Map<string, Promise<void>>();
  let waiting = deferred<void>();
  return {
    hold: async (task) => {
      const held = new Set<() => void>();
      const lock = async (name: string) => {
        const before = last.get(name);
        const free = deferred<void>();
        const mine = (before ?? Promise.resolve()).then(() => free.promise);
        last.set(name, mine);
        if (before) waiting.resolve();
        await before;
        held.add(free.resolve);
        void free.promise.then(() => last.get(name) === mine && last.delete(name));
        return async () => free.resolve();
      };
      try {
        return await task((ctx) => ({ ...ctx, lock }));
      } finally {
        for (const free of held) free();
      }
    },
    waitedFor: async () => {
      await waiting.promise;
      waiting = deferred<void>();
    },
  };
}

/** Ids of a deployment's instances, compilation VMs included. */
export async function countInstances(scene: CompileScene, deployment: string): Promise<number> {
  const rows = await scene.connections.db.select({ id: t.instances.id }).from(t.instances).innerJoin(t.deployments, eq(t.deployments.id, t.instances.deploymentId)).where(eq(t.deployments.name, deployment));
  return rows.length;
}

function depsOf(store: TestStore, scene: CompileScene, points: Points): DeployDeps {
  const certificate = async () => ({ ca: '', certificate: '', private_key: '' });
  return {
    db: store.connections.db, blobstore: mortalBlobstore(store.blobstore, points), agents: agentsOf(store, scene, points), cpi: () => cloudOf(scene, points), disks: noDisks, variables: disabledBackend,
    renderer: { render: async ({ jobName, templates }) => ({ jobName, monit: Buffer.alloc(0), files: templates.map(({ src, dest }) => ({ src, dest, content: Buffer.from(src) })) }) },
    nats: { bootstrapCertificate: certificate, permanentCertificate: certificate, movedUrls: async () => undefined, awaitAuthorised: async () => undefined },
    settings: {
      director: { name: 'director', uuid: randomUUID(), dnsDomain: 'bosh', localDns: true, useDnsAddresses: false, trustedCertsSha1: 'certs', natsConfigSha1: 'nats', blobstoreConfigSha1: 'blobs', ownAddresses: async () => [] },
      maxThreads: 4, maxVmCreateTries: 2, agentWaitTimeoutMs: 1_000, agentEnv: {}, natsUrls: [], agentBlobstores: [], shortLivedBootstrapCredentials: true, cpiResizesDisks: false, cpiUpdatesDisks: false, snapshots: false,
    },
  };
}

/** Every call is a point at which the attempt may die, before and after its effect. */
async function passing<T>(points: Points, work: () => Promise<T>): Promise<T> {
  points.pass(false);
  const result = await work();
  points.pass(false);
  return result;
}

function cloudOf({ vms }: CompileScene, points: Points): VmCalls {
  return {
    createVm: (_caller, { agentId }) => passing(points, async () => {
      vms.add(`vm-${agentId}`);
      return `vm-${agentId}`;
    }),
    deleteVm: (_caller, cid) => passing(points, async () => void vms.delete(cid)),
    hasVm: async (_caller, cid) => vms.has(cid),
    setVmMetadata: async () => undefined,
    calculateVmCloudProperties: unused,
  };
}

const unused = async () => {
  throw new Error('this test does not expect that call');
};

function agentsOf(store: TestStore, scene: CompileScene, points: Points): Agents {
  const done = async () => undefined;
  const agent: Agent = {
    ping: done, info: async () => ({ api_version: 1 }), getState: async () => ({ job_state: 'running' }), prepare: done, start: done, stop: done, drain: done, runScript: done, updateSettings: done,
    apply: async (spec) => void ('packages' in spec && scene.applied.push({ ...spec })),
    compilePackage: (source) => passing(points, async () => {
      await scene.onCompile(source);
      scene.compiled.push(source.name);
      const { id, sha1 } = await store.blobstore.put(await tgz([{ name: `./bin/${source.name}`, content: `${source.name} with ${Object.keys(source.dependencies).join()}` }]));
      return { blobstore_id: id, sha1 };
    }),
    compilePackageWithSignedUrl: unused, uploadBlob: async () => true, syncDns: async () => true, listDisk: async () => [], mountDisk: unused, unmountDisk: unused, migrateDisk: unused, addPersistentDisk: unused,
    removePersistentDisk: unused, fetchLogs: unused, runErrand: unused, setUpSsh: unused, cleanUpSsh: unused, getTask: unused, cancelTask: unused, shutdown: done, deleteArpEntries: done,
  };
  return { agentFor: () => agent, waitUntilReady: done };
}

import { randomUUID } from 'node:crypto';
import { eq, sql } from 'drizzle-orm';
import { z } from 'zod';
import * as t from '../../db/schema';
import type { Agent, Agents } from '../../server/agents/agent';
import { AgentFailure } from '../../server/agents/request';
import { code, DirectorError } from '../../server/core/errors';
import type { VmCalls } from '../../server/cpi/vm-calls';
import { completeVm, createVmIntent, reserveAddresses } from '../../server/deploy/store';
import { fullSpec } from '../../server/plan/specs';
import type { ProblemDeps } from '../../server/problems/ports';
import { disabledBackend } from '../../server/variables/disabled';
import type { TestStore } from './director-parts';
import { completePlan, edit, manifestYaml, type World } from './planning';
import { noDisks } from './fake-disks';
import type { Points } from './task-context';

/** A VM of the scene's cloud with the agent in it. */
export interface SceneVm {
  cid: string;
  agentId: string;
  ip: string;
  /** Silent agents hear nothing; `refusing` ones answer every question with an exception. */
  agent: 'well' | 'silent' | 'refusing';
  /** Methods that the agent was asked for, questions about its state excepted. */
  asked: string[];
  /** Argument of the last apply with jobs. */
  applied: Record<string, unknown> | undefined;
  running: boolean;
}

export interface SceneInstance {
  id: number;
  uuid: string;
  vmId: number;
  cid: string;
}

/** The deployment `dep` of `tests/support/planning`, deployed on a cloud and agents that can be told how to behave. */
export interface Scene {
  vms: Map<string, SceneVm>;
  /** Called before every `create_vm`; throw in it to make the call fail. */
  onCreate: (agentId: string, ip: string) => void;
  /** Called when an agent is asked for its state; may change the scene. */
  onAsk: (vm: SceneVm | undefined) => void;
  bus: { connected: boolean; connects: number };
  deploymentId: number;
  instances: SceneInstance[];
  deps(points?: Points, change?: Partial<ProblemDeps>): ProblemDeps;
}

const unused = async () => {
  throw new Error('this test does not expect that call');
};

/** Nobody waits for processes that only the scene knows of. */
const quick: World = { manifest: edit(manifestYaml, ['update_watch_time: 5000', 'update_watch_time: 1-10']) };

export async function startScene(store: TestStore): Promise<Scene> {
  const vms = new Map<string, SceneVm>();
  const scene: Scene = {
    vms, onCreate: () => undefined, onAsk: () => undefined, bus: { connected: true, connects: 1 }, deploymentId: 0, instances: [],
    deps: (points, change) => ({ ...depsOf(store, scene, points ?? { pass: () => undefined }), ...change }),
  };
  await record(store, scene, quick);
  return scene;
}

async function record(store: TestStore, scene: Scene, world: World): Promise<void> {
  const { db } = store.connections;
  await db.execute(sql`TRUNCATE deployments, instances, vms, ip_addresses, stemcells, rendered_templates_archives, events, alerts CASCADE`);
  const plan = completePlan(world);
  const manifest: Record<string, unknown> = JSON.parse(JSON.stringify(plan.manifest));
  const [deployment] = await db.insert(t.deployments).values({ name: 'dep', canonicalName: 'dep', manifest, tags: plan.tags }).returning();
  scene.deploymentId = deployment?.id ?? 0;
  await db.insert(t.stemcells).values(plan.stemcells.flatMap(({ os, version, images }) => images.map(({ name, apiVersion, cid }) => ({ name, operatingSystem: os, version, apiVersion, cid }))));
  for (const instance of plan.groups.flatMap((group) => group.instances)) {
    const blob = await store.blobstore.put(Buffer.from(`templates of ${instance.uuid}`));
    const spec: Record<string, unknown> = JSON.parse(JSON.stringify(fullSpec(instance, plan, { blobstore_id: blob.id, sha1: blob.sha1 })));
    const { uuid, group: job, index, az, bootstrap, cloudProperties } = instance;
    const [row] = await db.insert(t.instances).values({ uuid, deploymentId: scene.deploymentId, job, index, az, bootstrap, updateCompleted: true, spec, cloudProperties }).returning();
    const id = row?.id ?? 0;
    const agentId = randomUUID();
    const cid = `vm-${agentId}`;
    const vmId = await db.transaction(async (tx) => {
      await reserveAddresses(tx, instance.reservations.make.map(({ address, network, static: isStatic }) => ({ address, networkName: network, static: isStatic, instanceId: id })), 1_000_000);
      const intent = await createVmIntent(tx, { instanceId: id, agentId, cpi: '', az, networks: instance.networks, stemcellApiVersion: 3, taskId: 1_000_000, epoch: 1 });
      await completeVm(tx, intent, cid);
      await tx.update(t.vms).set({ permanentNatsCredentials: true }).where(eq(t.vms.id, intent));
      return intent;
    });
    scene.vms.set(cid, { cid, agentId, ip: instance.address ?? '', agent: 'well', asked: [], applied: spec, running: true });
    scene.instances.push({ id, uuid, vmId, cid });
  }
}

function depsOf(store: TestStore, scene: Scene, points: Points): ProblemDeps {
  const certificate = async () => ({ ca: '', certificate: '', private_key: '' });
  const around = async <T>(work: () => T): Promise<T> => {
    points.pass(false);
    const result = work();
    points.pass(false);
    return result;
  };
  return {
    db: store.connections.db, blobstore: store.blobstore, agents: agentsOf(scene, around), cpi: () => cloudOf(scene, around), disks: noDisks, renderer: { render: unused }, variables: disabledBackend,
    nats: { bootstrapCertificate: certificate, permanentCertificate: certificate, movedUrls: async () => undefined, awaitAuthorised: async () => undefined },
    settings: {
      director: { name: 'director', uuid: 'deadbeef', dnsDomain: 'bosh', localDns: true, useDnsAddresses: false, trustedCertsSha1: 'certs', natsConfigSha1: 'nats', blobstoreConfigSha1: 'blobs', ownAddresses: async () => [] },
      maxThreads: 4, maxVmCreateTries: 1, agentWaitTimeoutMs: 1_000, agentEnv: {}, natsUrls: [], agentBlobstores: [], shortLivedBootstrapCredentials: true, cpiResizesDisks: false, cpiUpdatesDisks: false, snapshots: false,
    },
    bus: { status: () => ({ ...scene.bus, server: undefined, since: new Date() }) },
  };
}

type Around = <T>(work: () => T) => Promise<T>;

function cloudOf(scene: Scene, around: Around): VmCalls {
  return {
    createVm: (_caller, { agentId, networks }) =>
      around(() => {
        const [network] = Object.values(networks);
        const ip = z.looseObject({ ip: z.string() }).parse(network).ip;
        scene.onCreate(agentId, ip);
        const holder = [...scene.vms.values()].find((vm) => vm.ip === ip);
        if (holder) throw new Error(`${holder.cid} has the address ${ip}`);
        const cid = `vm-${agentId}`;
        scene.vms.set(cid, { cid, agentId, ip, agent: 'well', asked: [], applied: undefined, running: false });
        return cid;
      }),
    deleteVm: (_caller, cid) => around(() => void scene.vms.delete(cid)),
    hasVm: (_caller, cid) => around(() => scene.vms.has(cid)),
    calculateVmCloudProperties: unused,
    setVmMetadata: (_caller, cid) =>
      around(() => {
        if (!scene.vms.has(cid)) throw new Error(`the cloud has no VM ${cid}`);
      }),
  };
}

function agentsOf(scene: Scene, around: Around): Agents {
  const find = (agentId: string) => [...scene.vms.values()].find((vm) => vm.agentId === agentId);
  const timeout = (agentId: string) => new DirectorError(code.rpcTimeout, `Timed out asking ${agentId}`);
  const listening = (agentId: string): SceneVm => {
    const vm = find(agentId);
    if (!vm || vm.agent === 'silent') throw timeout(agentId);
    return vm;
  };
  const act = (agentId: string, what: string, effect: (vm: SceneVm) => void = () => undefined) =>
    around(() => {
      const vm = listening(agentId);
      vm.asked.push(what);
      effect(vm);
    });
  return {
    waitUntilReady: (target) => around(() => void listening(target.id)),
    agentFor: ({ id }): Agent => ({
      getState: async () => {
        scene.onAsk(find(id));
        const vm = listening(id);
        if (vm.agent === 'refusing') throw new AgentFailure('not today');
        return { job_state: vm.running ? 'running' : 'stopped' };
      },
      apply: (spec) => act(id, 'packages' in spec ? 'apply' : 'initial apply', (vm) => {
        if (vm.running) throw new Error('jobs run while they are replaced');
        if ('packages' in spec) vm.applied = { ...spec };
      }),
      start: () => act(id, 'start', (vm) => {
        if (!vm.applied) throw new Error('nothing to start');
        vm.running = true;
      }),
      stop: () => act(id, 'stop', (vm) => void (vm.running = false)),
      runScript: (name) => act(id, name),
      updateSettings: () => act(id, 'update_settings'),
      uploadBlob: async ({ blobId }) => act(id, `upload ${blobId}`).then(() => true),
      ping: unused, info: unused, prepare: unused, drain: unused, compilePackage: unused, compilePackageWithSignedUrl: unused, syncDns: unused, listDisk: unused, mountDisk: unused, unmountDisk: unused,
      migrateDisk: unused, addPersistentDisk: unused, removePersistentDisk: unused, fetchLogs: unused, runErrand: unused, setUpSsh: unused, cleanUpSsh: unused, getTask: unused, cancelTask: unused,
      shutdown: unused, deleteArpEntries: unused,
    }),
  };
}

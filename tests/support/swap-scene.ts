import { randomUUID } from 'node:crypto';
import { eq, sql } from 'drizzle-orm';
import * as t from '../../db/schema';
import type { Agent, Agents } from '../../server/agents/agent';
import type { VmCalls } from '../../server/cpi/vm-calls';
import { deploy } from '../../server/deploy/deploy';
import type { DeployDeps } from '../../server/deploy/ports';
import { findDeployment } from '../../server/deploy/store';
import type { DeployRequest } from '../../server/plan/types';
import { deleteOrphanedVm } from '../../server/task-types/scheduled-orphaned-vm-cleanup';
import { listDoomedVms } from '../../server/scheduler/orphaned-vm-store';
import type { TestStore } from './director-parts';
import { noDisks } from './fake-disks';
import { cloudYaml } from './planning';
import { testTask, type Attempt, type Fate, type Points, type TestTask } from './task-context';
import { disabledBackend } from '../../server/variables/disabled';

/** A deployment of bare VMs (no jobs: nothing is compiled or rendered), with a cloud and agents of which every call can be the node's last. */
export interface SwapScene {
  /** Cloud ids of the VMs that exist. */
  vms: Set<string>;
  /** Calls to agents, `<method> <agent id>`, in order. */
  calls: string[];
  /** Agents that do not answer. */
  silent: Set<string>;
  deps(points?: Points): DeployDeps;
  /** One attempt at deploying `manifest`. */
  attempt(task: TestTask, manifest: string, how?: { fate?: Fate; request?: DeployRequest }): Promise<Attempt>;
  /** Deletes all orphaned VMs, as the clean-up does. */
  cleanUp(): Promise<void>;
}

export const swapManifest = (stemcell: string, more = '') => `
name: dep
releases: []
stemcells: [{alias: default, os: ubuntu, version: '${stemcell}'}]
update: {canaries: 0, max_in_flight: 2, canary_watch_time: 1, update_watch_time: 1, vm_strategy: create-swap-delete}
instance_groups:
- {name: web, instances: 1, azs: [z1], vm_type: small, stemcell: default, networks: [{name: private}], jobs: []${more}}
`;

/** Everything that the database knows of VMs and addresses. */
export interface Known {
  active: { cid: string; ips: string[] }[];
  spare: string[];
  orphaned: { cid: string; ips: string[] }[];
  /** Address (CIDR text) to who has it: `instance`, `orphan` or nobody. */
  addresses: Record<string, string>;
}

export async function startSwapScene(store: TestStore): Promise<SwapScene> {
  const { db } = store.connections;
  await db.execute(sql`TRUNCATE tasks, vms, ip_addresses, instances, deployments, orphaned_vms, configs, stemcells CASCADE`);
  await db.insert(t.deployments).values({ name: 'dep', canonicalName: 'dep' });
  const [config] = await db.insert(t.configs).values({ type: 'cloud', name: 'default', content: cloudYaml }).returning();
  await db.insert(t.stemcells).values(['1.1', '1.2', '1.3'].map((version) => ({ name: 'local', version, operatingSystem: 'ubuntu', cid: `sc-${version}`, apiVersion: 3 })));
  const scene: SwapScene = {
    vms: new Set(), calls: [], silent: new Set(),
    deps: (points) => depsOf(store, scene, around(points)),
    attempt: (task, manifest, how = {}) =>
      task.attempt(async (ctx, points) => {
        await deploy(ctx, scene.deps(points), { deployment: 'dep', manifestText: manifest, configIds: { cloud: [config?.id ?? 0], runtime: [] }, request: how.request ?? {} });
        return 'done';
      }, how.fate),
    cleanUp: async () => {
      for (const vm of await listDoomedVms(db)) {
        await testTask(db).attempt((ctx) => deleteOrphanedVm(ctx, { db, vmCalls: (name) => scene.deps().cpi(name), maxThreads: 1 }, vm, 0));
      }
    },
  };
  return scene;
}

type Around = <T>(work: () => Promise<T>) => Promise<T>;

function around(points: Points | undefined): Around {
  return async (work) => {
    points?.pass(false);
    const result = await work();
    points?.pass(false);
    return result;
  };
}

function depsOf(store: TestStore, scene: SwapScene, point: Around): DeployDeps {
  const certificate = async () => ({ ca: '', certificate: '', private_key: '' });
  return {
    db: store.connections.db, blobstore: store.blobstore, agents: agentsOf(scene, point), cpi: () => cloudOf(scene, point), disks: noDisks, renderer: { render: refused }, variables: disabledBackend,
    nats: { bootstrapCertificate: certificate, permanentCertificate: certificate, movedUrls: async () => undefined, awaitAuthorised: async () => undefined },
    settings: {
      director: { name: 'director', uuid: randomUUID(), dnsDomain: 'bosh', localDns: true, useDnsAddresses: false, trustedCertsSha1: 'certs', natsConfigSha1: 'nats', blobstoreConfigSha1: 'blobs', ownAddresses: async () => ['10.0.1.10'] },
      maxThreads: 4, maxVmCreateTries: 2, agentWaitTimeoutMs: 1_000, agentEnv: {}, natsUrls: [], agentBlobstores: [], shortLivedBootstrapCredentials: true, cpiResizesDisks: false, cpiUpdatesDisks: false, snapshots: false,
    },
  };
}

const refused = async () => {
  throw new Error('this scene does not expect that call');
};

function cloudOf({ vms }: SwapScene, point: Around): VmCalls {
  return {
    createVm: (_caller, { agentId }) => point(async () => {
      vms.add(`vm-${agentId}`);
      return `vm-${agentId}`;
    }),
    deleteVm: (_caller, cid) => point(async () => void vms.delete(cid)),
    hasVm: async (_caller, cid) => vms.has(cid),
    setVmMetadata: async () => undefined,
    calculateVmCloudProperties: refused,
  };
}

/** Agents run once they are started; those of VMs that do not exist do not answer. */
function agentsOf(scene: SwapScene, point: Around): Agents {
  const isRunning = (id: string) => scene.calls.findLast((call) => call === `start ${id}` || call === `stop ${id}`) === `start ${id}`;
  const answers = (id: string) => scene.vms.has(`vm-${id}`) && !scene.silent.has(id);
  const agentFor = ({ id }: { id: string }): Agent => {
    const call = (method: string) => point(async () => {
      if (!answers(id)) throw new Error(`agent ${id} does not answer ${method}`);
      scene.calls.push(`${method} ${id}`);
    });
    return {
      ping: refused, info: refused, compilePackage: refused, compilePackageWithSignedUrl: refused, uploadBlob: refused, syncDns: refused, listDisk: async () => [], mountDisk: refused, unmountDisk: refused,
      migrateDisk: refused, addPersistentDisk: refused, removePersistentDisk: refused, fetchLogs: refused, runErrand: refused, setUpSsh: refused, cleanUpSsh: refused, getTask: refused, cancelTask: refused, deleteArpEntries: refused,
      getState: async () => {
        if (!answers(id)) throw new Error(`agent ${id} does not answer get_state`);
        return { job_state: isRunning(id) ? 'running' : 'stopped' };
      },
      apply: () => call('apply'), prepare: () => call('prepare'), start: () => call('start'), stop: () => call('stop'), drain: () => call('drain'),
      runScript: () => call('run_script'), updateSettings: () => call('update_settings'), shutdown: () => call('shutdown'),
    };
  };
  return {
    agentFor,
    waitUntilReady: async ({ id }) => {
      if (!answers(id)) throw new Error(`Timed out pinging ${id}`);
    },
  };
}

export async function whatIsKnown(store: TestStore): Promise<Known> {
  const { db } = store.connections;
  const deployment = await findDeployment(db, 'dep');
  const rows = await db.select({ vm: t.vms }).from(t.vms).innerJoin(t.instances, eq(t.vms.instanceId, t.instances.id)).where(eq(t.instances.deploymentId, deployment?.id ?? 0));
  const addresses = await db.select().from(t.ipAddresses);
  const orphans = await db.select().from(t.orphanedVms);
  return {
    active: rows.flatMap(({ vm }) => (vm.active && vm.cid ? [{ cid: vm.cid, ips: addresses.filter((row) => row.vmId === vm.id).map((row) => row.address) }] : [])),
    spare: rows.flatMap(({ vm }) => (!vm.active && vm.cid ? [vm.cid] : [])),
    orphaned: orphans.map((orphan) => ({ cid: orphan.cid, ips: addresses.filter((row) => row.orphanedVmId === orphan.id).map((row) => row.address) })),
    addresses: Object.fromEntries(addresses.map((row) => [row.address, row.orphanedVmId !== null ? 'orphan' : row.instanceId !== null ? 'instance' : 'nobody'])),
  };
}

import { randomUUID } from 'node:crypto';
import { stringify } from 'yaml';
import type { Agent, Agents } from '../../server/agents/agent';
import { createConfig } from '../../server/configs/store';
import { deploy } from '../../server/deploy/deploy';
import type { DeployDeps } from '../../server/deploy/ports';
import { code, DirectorError } from '../../server/core/errors';
import { sha1Hex } from '../../server/core/digest';
import { requestOf, type DeployFlags } from '../../server/task-types/deployment-payloads';
import { orderDeploy } from '../../server/task-types/order-deploy';
import { updateRelease } from '../../server/task-types/update-release';
import { updateStemcell } from '../../server/task-types/update-stemcell';
import type { TestStore } from './director-parts';
import { noDisks } from './fake-disks';
import { buildRelease, buildStemcell, type ReleaseFixture } from './fixtures';
import { testTask, type Attempt } from './task-context';
import { disabledBackend } from '../../server/variables/disabled';

/** A VM of the scene's cloud, with its agent. */
export interface SceneVm {
  cid: string;
  agentId: string;
  /** What `get_state` says. */
  jobState: string;
  /** It gives no answers. */
  silent: boolean;
  trustedCerts: string;
  /** What the cloud was told about it, oldest first. */
  metadata: Record<string, string>[];
}

/** Whole deploys on a real database, with a cloud and agents in memory and renderings that are no Ruby's. */
export interface DeployScene {
  deps: DeployDeps;
  vms: Map<string, SceneVm>;
  /** Messages to agents, by method. */
  asked: Map<string, number>;
  /** Metadata of all VMs that the cloud was told, oldest first. */
  told: Record<string, string>[];
  uploadRelease(release: ReleaseFixture): Promise<void>;
  uploadStemcell(version: string): Promise<void>;
  uploadConfig(type: 'cloud' | 'runtime', document: object): Promise<void>;
  /** Runs a deploy to its end and returns its task id with the attempt. */
  deploy(manifest: object, flags?: Partial<DeployFlags>): Promise<Attempt & { taskId: number; events: Record<string, unknown>[] }>;
}

const nobody = async () => {
  throw new Error('this scene does not expect that call');
};

const certificate = async () => ({ ca: '', certificate: '', private_key: '' });

export const administrator = { username: 'admin', scopes: ['bosh.admin'] };
const noFlags: DeployFlags = { recreate: false, recreatePersistentDisks: false, fix: false, dryRun: false, forceLatestVariables: false };

export function deployScene(store: TestStore): DeployScene {
  const { db } = store.connections;
  const vms = new Map<string, SceneVm>();
  const asked = new Map<string, number>();
  const told: Record<string, string>[] = [];
  const deps: DeployDeps = {
    db, blobstore: store.blobstore, agents: sceneAgents(vms, asked), cpi: sceneCloud(vms, told), disks: noDisks, renderer: sceneRenderer, variables: disabledBackend,
    nats: { bootstrapCertificate: certificate, permanentCertificate: certificate, movedUrls: async () => undefined, awaitAuthorised: async () => undefined },
    settings: {
      director: { name: 'director', uuid: randomUUID(), dnsDomain: 'bosh', localDns: true, useDnsAddresses: false, trustedCertsSha1: 'certs', natsConfigSha1: 'nats', blobstoreConfigSha1: 'blobs', ownAddresses: async () => [] },
      maxThreads: 16, maxVmCreateTries: 2, agentWaitTimeoutMs: 1_000, agentEnv: {}, natsUrls: [], agentBlobstores: [], shortLivedBootstrapCredentials: true, cpiResizesDisks: false, cpiUpdatesDisks: false, snapshots: false,
    },
  };
  const run = async (work: Parameters<ReturnType<typeof testTask>['attempt']>[0]) => {
    const attempt = await testTask(db).attempt(work);
    if (attempt.error) throw attempt.error;
  };
  let stemcells = 0;
  return {
    deps, vms, asked, told,
    uploadRelease: async (release) => {
      const { id, sha256 } = await store.blobstore.put(await buildRelease(release));
      await run((ctx) => updateRelease.perform(ctx, { db, blobstore: store.blobstore }, { source: { kind: 'blob', blobId: id, sha256 }, sha1: undefined, fix: false, rebase: false }));
    },
    uploadStemcell: async (version) => {
      const { id, sha256 } = await store.blobstore.put(await buildStemcell({ manifest: { version } }));
      const cloud = { name: '', aliases: [''], info: async () => ({ stemcellFormats: ['dummy'] }), createStemcell: async () => `sc-${++stemcells}` };
      await run((ctx) => updateStemcell.perform(ctx, { db, blobstore: store.blobstore, tmpDir: '/tmp', clouds: async () => [cloud], deleteImage: nobody, stemcellTags: async () => ({}) }, { source: { kind: 'blob', blobId: id, sha256 }, sha1: undefined, fix: false }));
    },
    uploadConfig: async (type, document) => void (await db.transaction((tx) => createConfig(tx, { type, name: 'default', content: stringify(document), team: undefined }))),
    deploy: async (manifest, flags = {}) => {
      const manifestText = stringify(manifest);
      const { payload } = await db.transaction((tx) => orderDeploy(tx, { principal: administrator, directorUuid: '', manifestText, flags: { ...noFlags, ...flags }, context: undefined }));
      const { deployment, configIds } = payload;
      const task = testTask(db);
      let taskId = 0;
      const attempt = await task.attempt(async (ctx) => {
        ({ taskId } = ctx);
        await deploy(ctx, deps, { deployment, manifestText, configIds, request: requestOf({ ...noFlags, ...flags }) });
        return 'deployed';
      });
      return { ...attempt, taskId, events: task.events() };
    },
  };
}

function sceneCloud(vms: Map<string, SceneVm>, told: Record<string, string>[]): DeployDeps['cpi'] {
  return () => ({
    createVm: async (_caller, { agentId }) => {
      vms.set(agentId, { cid: `vm-${agentId}`, agentId, jobState: 'stopped', silent: false, trustedCerts: '', metadata: [] });
      return `vm-${agentId}`;
    },
    deleteVm: async (_caller, cid) => void vms.delete(cid.replace(/^vm-/, '')),
    hasVm: async (_caller, cid) => vms.has(cid.replace(/^vm-/, '')),
    setVmMetadata: async (_caller, cid, metadata) => {
      const vm = vms.get(cid.replace(/^vm-/, ''));
      vm?.metadata.push(metadata);
      told.push(metadata);
    },
    calculateVmCloudProperties: async () => ({}),
  });
}

function sceneAgents(vms: Map<string, SceneVm>, asked: Map<string, number>): Agents {
  const agentFor: Agents['agentFor'] = ({ id, name }) => {
    const vm = async (method: string): Promise<SceneVm> => {
      asked.set(method, (asked.get(method) ?? 0) + 1);
      const found = vms.get(id);
      if (found && !found.silent) return found;
      throw new DirectorError(code.rpcTimeout, `Timed out sending '${method}' to instance: '${name}', agent-id: '${id}' after 45 seconds`);
    };
    const done = (method: string) => async () => void (await vm(method));
    const agent: Agent = {
      ping: done('ping'), info: async () => ({ api_version: 1 }), getState: async () => ({ job_state: (await vm('get_state')).jobState }),
      apply: done('apply'), prepare: done('prepare'), runScript: done('run_script'), drain: done('drain'),
      updateSettings: async (settings) => void ((await vm('update_settings')).trustedCerts = settings.trusted_certs),
      start: async () => void ((await vm('start')).jobState = 'running'),
      stop: async () => void ((await vm('stop')).jobState = 'stopped'),
      compilePackage: async (source) => {
        await vm('compile_package');
        return { blobstore_id: randomUUID(), sha1: sha1Hex(`${source.name} ${source.version}`) };
      },
      compilePackageWithSignedUrl: nobody, uploadBlob: nobody, syncDns: nobody, listDisk: async () => [], mountDisk: nobody, unmountDisk: nobody, migrateDisk: nobody,
      addPersistentDisk: nobody, removePersistentDisk: nobody, fetchLogs: nobody, runErrand: nobody, setUpSsh: nobody, cleanUpSsh: nobody, getTask: nobody, cancelTask: nobody,
      shutdown: nobody, deleteArpEntries: nobody,
    };
    return agent;
  };
  return { agentFor, waitUntilReady: (target, _deadlineMs, caller) => agentFor(target, caller).ping() };
}

/** One file that depends on what most templates depend on. */
const sceneRenderer: DeployDeps['renderer'] = {
  render: async ({ jobName, context: { properties, links, networks } }) => ({
    jobName, monit: Buffer.alloc(0), files: [{ src: 'config.erb', dest: 'config', content: Buffer.from(JSON.stringify([properties, links, networks])) }],
  }),
};

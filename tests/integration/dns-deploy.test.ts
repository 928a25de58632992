import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { AgentClient } from '../../server/agents/client';
import { Notifications } from '../../server/cluster/notifications';
import { readArchive, readText, uploadRules } from '../../server/core/archive';
import { silentLog } from '../../server/core/log';
import type { VmCalls } from '../../server/cpi/vm-calls';
import { deleteDeployment } from '../../server/deploy/delete-deployment';
import { deploy } from '../../server/deploy/deploy';
import type { DeployDeps } from '../../server/deploy/ports';
import { publishDns } from '../../server/deploy/dns-steps';
import { createDnsPublisher } from '../../server/dns/publisher';
import { AgentSwarm } from '../../server/local/simulator/swarm';
import { Bus } from '../../server/nats/connection';
import { buildPlan } from '../../server/plan/build-plan';
import type { TaskContext } from '../../server/tasks/context';
import type { RenderJob } from '../../server/templates/render-job';
import { startTestNode, testStore, type TestNode, type TestStore } from '../support/director-parts';
import { noDisks } from '../support/fake-disks';
import { insertFleet } from '../support/fleet-rows';
import { startNats, type TestNats } from '../support/nats';
import { cloudYaml, edit, manifestYaml, planInput } from '../support/planning';
import { recordArtifacts } from '../support/release-rows';
import { testTask } from '../support/task-context';
import { disabledBackend } from '../../server/variables/disabled';

/** What deploys make agents know: real planner, executor, publisher, database and NATS; the cloud's VMs are agents that only listen. */

let store: TestStore;
let nats: TestNats;
let bus: Bus;
let agents: AgentClient;
let notifications: Notifications;
let swarm: AgentSwarm;
let node: TestNode;
let cloudConfig = 0;
let bystander = '';
/** Every telling of DNS records, in order. */
const told: { agentId: string; version: number }[] = [];
/** What the templates of each job were last given. */
const rendered = new Map<string, RenderJob>();

beforeAll(async () => {
  [store, nats] = await Promise.all([testStore(), startNats({ agentsOpen: true })]);
  const { db, pool } = store.connections;
  cloudConfig = await recordArtifacts(store, { db: { provides: [{ name: 'db', type: 'sql' }] }, app: { consumes: [{ name: 'db', type: 'sql' }] } }, cloudYaml);
  bus = new Bus({ name: 'test', urls: nats.urls, ca: nats.ca, certificate: nats.directorCreds.certificate, privateKey: nats.directorCreds.private_key, log: silentLog });
  bus.start();
  agents = new AgentClient({ bus, nodeId: randomUUID() });
  agents.start();
  const others = await insertFleet(pool, { deployment: 'other', count: 1 });
  bystander = others[0]?.id ?? '';
  swarm = new AgentSwarm({
    urls: nats.urls, ca: nats.ca, certificate: nats.hmCreds.certificate, privateKey: nats.hmCreds.private_key, agents: others,
    onRequest: (agentId, method, args) => void (method === 'sync_dns' && told.push({ agentId, version: Number(args[2]) })),
  });
  await swarm.start();
  notifications = new Notifications(store.connections, silentLog);
  notifications.start();
  const publisher = createDnsPublisher({ db, blobstore: store.blobstore, agents, bus, notifications, settings: { domain: 'bosh', includeIndex: false, fanOut: 100 } });
  node = await startTestNode({ store, name: 'A', perform: async () => '', components: [publisher] });
});
afterAll(async () => {
  await node?.stop();
  await notifications?.stop();
  agents?.stop();
  await swarm?.stop();
  await bus?.stop();
  await nats?.stop();
  await store?.close();
});

const cloud: VmCalls = {
  createVm: async (_caller, { agentId }) => {
    await swarm.add([{ id: agentId, deployment: 'dep', job: '', index: 0, instanceId: '' }]);
    return `vm-${agentId}`;
  },
  deleteVm: async (_caller, cid) => swarm.setAbsent([cid.slice('vm-'.length)]),
  hasVm: async () => true,
  setVmMetadata: async () => undefined,
  calculateVmCloudProperties: async () => ({}),
};

function deps(): DeployDeps {
  const certificate = async () => ({ ca: '', certificate: '', private_key: '' });
  return {
    db: store.connections.db, blobstore: store.blobstore, agents, cpi: () => cloud, disks: noDisks, variables: disabledBackend,
    renderer: {
      render: async (job) => {
        rendered.set(job.jobName, job);
        return { jobName: job.jobName, monit: Buffer.from(''), files: [{ src: 'spec', dest: 'spec', content: Buffer.from(JSON.stringify(job.context.links)) }] };
      },
    },
    nats: { bootstrapCertificate: certificate, permanentCertificate: certificate, movedUrls: async () => undefined, awaitAuthorised: async () => undefined },
    settings: {
      director: { name: 'director', uuid: randomUUID(), dnsDomain: 'bosh', localDns: true, useDnsAddresses: false, trustedCertsSha1: 'certs', natsConfigSha1: 'nats', blobstoreConfigSha1: 'blobs', ownAddresses: async () => [] },
      maxThreads: 4, maxVmCreateTries: 1, agentWaitTimeoutMs: 5_000, agentEnv: {}, natsUrls: [], agentBlobstores: [], shortLivedBootstrapCredentials: true, cpiResizesDisks: false, cpiUpdatesDisks: false, snapshots: false,
    },
  };
}

const group = (name: string, instances: number, job: object) => ({ name, instances, azs: ['z1', 'z2'], vm_type: 'small', stemcell: 'default', networks: [{ name: 'private' }], jobs: [{ release: 'rel', ...job }] });
const manifest = (instances: number, provides: object, features: object = { use_link_dns_names: true }) =>
  JSON.stringify({
    name: 'dep', releases: [{ name: 'rel', version: '1.0' }], stemcells: [{ alias: 'default', os: 'ubuntu', version: 'latest' }], features,
    update: { canaries: 1, max_in_flight: 4, canary_watch_time: '1-10', update_watch_time: '1-10' },
    instance_groups: [group('My_data', instances, { name: 'db', provides: { db: provides } }), group('web', 1, { name: 'app', consumes: { db: { from: 'main' } } })],
  });
const mainDb = (...domains: string[]) => ({ as: 'main', aliases: domains.map((domain) => ({ domain, health_filter: 'healthy' })) });

async function carriedOut(work: (ctx: TaskContext) => Promise<void>): Promise<string[]> {
  const task = testTask(store.connections.db);
  const { error } = await task.attempt((ctx) => work(ctx).then(() => ''));
  if (error) throw error;
  return task.events().flatMap((event) => (event.stage === 'Updating instance' && event.state === 'finished' ? [String(event.task)] : []));
}

/** Returns the instances that were updated. */
const deployed = async (text: string) => {
  await store.connections.db.execute(sql`INSERT INTO deployments (name, canonical_name) VALUES ('dep', 'dep') ON CONFLICT DO NOTHING`);
  return carriedOut((ctx) => deploy(ctx, deps(), { deployment: 'dep', manifestText: text, configIds: { cloud: [cloudConfig], runtime: [] }, request: {} }));
};

interface Known {
  version: number;
  records: [string, string][];
  infos: Record<string, unknown>[];
  aliases: Record<string, object[]>;
}

/** What an agent knows: the blob of the version that it was told last. */
async function knownBy(agentId: string): Promise<Known> {
  const { rows } = await store.connections.db.execute<{ blobstore_id: string }>(sql`SELECT blobstore_id FROM local_dns_blobs WHERE id = ${swarm.dnsVersionOf(agentId)}`);
  const { version, records, record_keys: keys, record_infos: infos, aliases } = JSON.parse((await store.blobstore.read(rows[0]?.blobstore_id ?? '')).toString());
  return { version, records, aliases, infos: infos.map((info: unknown[]) => Object.fromEntries(keys.map((key: string, i: number) => [key, info[i]]))) };
}

async function instances(): Promise<{ id: number; uuid: string; job: string; agent: string; ip: string }[]> {
  const { rows } = await store.connections.db.execute<{ id: number; uuid: string; job: string; agent: string; ip: string }>(sql`
    SELECT i.id, i.uuid, i.job, v.agent_id AS agent, v.networks->'private'->>'ip' AS ip FROM instances i JOIN deployments d ON d.id = i.deployment_id JOIN vms v ON v.instance_id = i.id WHERE d.name = 'dep' ORDER BY i.job, i.index`);
  return rows;
}

/** `.bosh/links.json` of a job as it was delivered to an instance. */
async function linksFile(instanceId: number, jobName: string): Promise<unknown> {
  const { rows } = await store.connections.db.execute<{ blobstore_id: string }>(sql`SELECT blobstore_id FROM rendered_templates_archives WHERE instance_id = ${instanceId} ORDER BY id DESC LIMIT 1`);
  const files = new Map<string, string>();
  const archive = Readable.from([await store.blobstore.read(rows[0]?.blobstore_id ?? '')], { objectMode: false });
  await readArchive(archive, uploadRules, async (file) => void files.set(file.path, await readText(file, 10_000)));
  return JSON.parse(files.get(`${jobName}/.bosh/links.json`) ?? 'null');
}

const idOf = async (kind: string, name: string) => String((await store.connections.db.execute<{ id: number }>(sql`SELECT id FROM local_dns_encoded_names WHERE kind = ${kind} AND name = ${name} AND deployment IN ('', 'dep')`)).rows[0]?.id);

it('the agents of a deployment know exactly its instances, groups and aliases, with every change of it', async () => {
  expect(await deployed(manifest(2, mainDb('db.internal', '_.db.internal')))).toHaveLength(3);
  const made = await instances();
  const [data, link, web, network] = await Promise.all([idOf('group', 'My_data'), idOf('link', 'main-sql'), idOf('group', 'web'), idOf('network', 'private')]);
  expect(new Set([data, link, web]).size).toBe(3);
  const first = await knownBy(made[0]?.agent ?? '');
  const ours = (known: Known) => known.infos.filter(({ deployment }) => deployment === 'dep');
  // The deployment has waited for all its agents.
  for (const { agent } of made) expect(swarm.dnsVersionOf(agent)).toBe(first.version);
  expect(first.records.slice(1).toSorted()).toEqual(made.map(({ ip, uuid, job }) => [ip, `${uuid}.${job === 'web' ? 'web' : 'my-data'}.private.dep.bosh`]).toSorted());
  expect(ours(first).map(({ id, num_id, instance_group, group_ids, network_id, agent_id }) => [id, num_id, instance_group, group_ids, network_id, agent_id])).toEqual(
    made.map(({ id, uuid, job, agent }) => [uuid, String(id), job === 'web' ? 'web' : 'my-data', job === 'web' ? [web] : [data, link], network, agent]),
  );
  const target = { root_domain: 'bosh', group_id: link, health_filter: 'healthy', initial_health_check: null, placeholder_type: null };
  expect(first.aliases).toEqual({ 'db.internal': [target], '_.db.internal': [target] });

  // Templates get the same names, and the ids to make more of them.
  const [provider] = made;
  expect(rendered.get('app')?.context).toMatchObject({ address: `q-m${made[2]?.id}n${network}s0.q-g${web}.bosh`, links: { db: { instances: [{ address: `q-m${provider?.id}n${network}s0.q-g${link}.bosh` }, {}] } } });
  expect(rendered.get('app')?.dns).toMatchObject({ networks: { private: Number(network) }, groups: [{ type: 'link', name: 'main-sql', deployment: 'dep', id: Number(link) }] });

  // Providers have their link's group with their templates.
  expect(await linksFile(provider?.id ?? 0, 'db')).toEqual([{ name: 'main', type: 'sql', group: link }]);
  expect(await linksFile(made[2]?.id ?? 0, 'app')).toEqual([]);

  // Nothing to do: everybody hears the same version once more, wherever it belongs.
  const before = told.length;
  expect(await deployed(manifest(2, mainDb('db.internal', '_.db.internal')))).toEqual([]);
  const everybody = [bystander, ...made.map(({ agent }) => agent)].toSorted();
  await expect.poll(() => told.slice(before).map(({ agentId }) => agentId).toSorted(), { timeout: 5_000 }).toEqual(everybody);
  expect(new Set(told.slice(before).map(({ version }) => version))).toEqual(new Set([first.version]));

  // Another alias: no instance is touched.
  expect(await deployed(manifest(2, mainDb('db.internal', 'sql.internal')))).toEqual([]);
  const renamed = await knownBy(made[1]?.agent ?? '');
  expect(Object.keys(renamed.aliases)).toEqual(['db.internal', 'sql.internal']);
  expect(ours(renamed)).toEqual(ours(first));

  // An alias less, an instance less: the rest is told by itself.
  await deployed(manifest(1, mainDb('db.internal')));
  const left = await instances();
  expect(left).toHaveLength(2);
  await expect.poll(async () => ours(await knownBy(bystander)).map(({ id }) => id), { timeout: 5_000 }).toEqual(left.map(({ uuid }) => uuid));
  const fewer = await knownBy(bystander);
  expect(Object.keys(fewer.aliases)).toEqual(['db.internal']);
  expect(await idOf('link', 'main-sql')).toBe(link);

  // Nothing is left of a deleted deployment.
  await carriedOut((ctx) => deleteDeployment(ctx, deps(), { deployment: 'dep', force: false }));
  await expect.poll(async () => [(await knownBy(bystander)).records.length, (await knownBy(bystander)).aliases], { timeout: 5_000 }).toEqual([1, {}]);
}, 60_000);

it('a link that gets another name changes the group of its providers, while they keep their VMs', async () => {
  const named = (as: string) => manifest(1, { as }, {}).replace('"from":"main"', `"from":"${as}"`);
  await deployed(named('old'));
  const [before] = await instances();
  await deployed(named('new'));
  const [after] = await instances();
  expect(after?.agent).toBe(before?.agent);
  const info = (await knownBy(after?.agent ?? '')).infos.find(({ id }) => id === after?.uuid);
  expect(info?.group_ids).toEqual([await idOf('group', 'My_data'), await idOf('link', 'new-sql')]);
  await carriedOut((ctx) => deleteDeployment(ctx, deps(), { deployment: 'dep', force: false }));
}, 60_000);

it('aliases are recorded once, and asked for, wherever an attempt dies', async () => {
  const { db } = store.connections;
  const job = '[{name: provider, release: rel, provides: {db: {aliases: [{domain: a.internal}, {domain: b.internal}]}}}]';
  const plan = buildPlan(planInput({ manifest: edit(manifestYaml, ['[{name: server, release: rel, properties: {port: 80}}]', job]) }));
  const aliases = async () => (await db.execute<{ domain: string }>(sql`SELECT domain FROM local_dns_aliases WHERE deployment_id IS NOT NULL ORDER BY domain`)).rows.map(({ domain }) => domain);
  for (let dieAt = 1, died = true; died; dieAt++) {
    const { rows } = await db.execute<{ id: number }>(sql`INSERT INTO deployments (name, canonical_name) VALUES ('dep', 'dep') RETURNING id`);
    const deploymentId = rows[0]?.id ?? 0;
    const task = testTask(db);
    const publish = (fate?: { dieAt: number; how: 'killed' }) => task.attempt((ctx) => publishDns(ctx, deps(), { plan, deploymentId, made: [] }).then(() => 'told'), fate);
    ({ died } = await publish({ dieAt, how: 'killed' }));
    expect((await publish()).result).toBe('told');
    expect(await aliases()).toEqual(['a.internal', 'b.internal']);
    await db.execute(sql`DELETE FROM deployments WHERE id = ${deploymentId}`);
  }
  expect(await aliases()).toEqual([]);
}, 60_000);

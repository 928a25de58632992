import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { recordLinks } from '../../server/deployments/links-store';
import { enqueueTask } from '../../server/tasks/queue';
import { testStore, type TestStore } from '../support/director-parts';
import { startRestServer, type RestAnswer, type RestServer } from '../support/rest-server';

/** Calls recorded from the Ruby director, made again with its records of that moment: status, headers that clients use, body. */

const folder = join(__dirname, '../fixtures/http');
const captureSchema = z.object({
  request: z.object({ method: z.string(), path: z.string(), query: z.string(), headers: z.record(z.string(), z.string()), body: z.unknown() }),
  response: z.object({ status: z.number(), headers: z.record(z.string(), z.string()), body: z.unknown() }),
});
type Capture = z.infer<typeof captureSchema>;
const read = (name: string): Capture => captureSchema.parse(JSON.parse(readFileSync(join(folder, `${name}.json`), 'utf8')));
const bodyOf = (name: string): unknown => JSON.parse(z.string().parse(read(name).response.body));

let store: TestStore;
let server: RestServer;
const db = () => store.connections.db;

beforeAll(async () => {
  store = await testStore();
  server = await startRestServer(store, {
    scopes: {
      reader: ['bosh.read'], noaccess: ['openid'], ateam: ['bosh.teams.ateam.admin'], ateamreader: ['bosh.teams.ateam.read'], otherteam: ['bosh.teams.other.admin'], outsider: ['bosh.teams.other.read'],
    },
  });
});
afterAll(async () => {
  await server?.close();
  await store?.close();
});

/** `same`: equal body (as JSON where it is JSON); `sorted`: equal but for the order of the list; `code`: same error code; `task`: a redirect to a task. */
type Expectation = 'same' | 'sorted' | 'code' | 'task';

async function replay(name: string, expected: Expectation, user = 'test'): Promise<void> {
  const { request, response } = read(name);
  const headers = Object.fromEntries(Object.entries(request.headers).flatMap(([key, value]) => (['content-type', 'range', 'x-bosh-context-id'].includes(key.toLowerCase()) ? [[key, value]] : [])));
  const authorization = Object.entries(request.headers).find(([key]) => key.toLowerCase() === 'authorization')?.[1];
  const answer = await server.call(request.method, request.path + (request.query === '' ? '' : `?${request.query}`), {
    user: authorization === undefined ? null : user,
    headers,
    ...(typeof request.body === 'string' ? { body: request.body } : { body: Buffer.alloc(64, 1) }),
  });
  expect(answer.status).toBe(response.status);
  const recorded = Object.fromEntries(Object.entries(response.headers).map(([key, value]) => [key.toLowerCase(), value]));
  for (const header of ['www-authenticate', 'content-range', 'x-cascade']) expect(answer.headers[header], header).toBe(recorded[header]);
  compare[expected](answer, response.body);
}

const compare: Record<Expectation, (answer: RestAnswer, recorded: unknown) => void> = {
  same: (answer, recorded) => (answer.json === undefined ? expect(answer.body).toBe(recorded) : expect(answer.json).toEqual(JSON.parse(String(recorded)))),
  sorted: (answer, recorded) => {
    const order = (list: unknown) => z.array(z.unknown()).parse(list).map((item) => JSON.stringify(item)).toSorted();
    expect(order(answer.json)).toEqual(order(JSON.parse(String(recorded))));
  },
  code: (answer, recorded) => {
    const error = z.object({ code: z.number(), description: z.string().min(1) });
    expect(error.parse(answer.json).code).toBe(error.parse(JSON.parse(String(recorded))).code);
  },
  task: (answer) => expect(answer.headers.location).toMatch(/^\/tasks\/\d+$/),
};

describe('an empty director answers as recorded', () => {
  it.each<[string, Expectation, string?]>([
    ['deployments-empty.01.GET.deployments', 'same'],
    ['cloud-config-none.01.GET.cloud-configs', 'same'],
    ['cloud-configs-badlimit.01.GET.cloud-configs', 'same'],
    ['cloud-configs-nolimit.01.GET.cloud-configs', 'same'],
    ['config-unknown.01.GET.configs-999', 'same'],
    ['config-post-badcontent.01.POST.configs', 'same'],
    ['config-post-badjson.01.POST.configs', 'code'],
    ['config-post-missing.01.POST.configs', 'same'],
    ['configs-badlatest.01.GET.configs', 'same'],
    ['context-too-long.01.GET.deployments', 'same'],
    ['delete-config-again.01.DELETE.configs', 'same'],
    ['deploy-bad-context.01.POST.deployments', 'same'],
    ['deploy-bad-timestamp.01.POST.deployments', 'same'],
    ['deploy-badyaml.01.POST.deployments', 'code'],
    ['deploy-empty.01.POST.deployments', 'same'],
    ['deploy-first.01.GET.configs', 'same'],
    ['deploy-noname.01.POST.deployments', 'same'],
    ['deploy-notahash.01.POST.deployments', 'same'],
    ['deploy-wrong-content-type.01.POST.deployments', 'same'],
    ['deployment-unknown.01.GET.deployments-nope', 'same'],
    ['deployment-unknown-delete.01.DELETE.deployments-nope', 'same'],
    ['disks-orphaned-empty.01.GET.disks', 'same'],
    ['dynamic-disks.01.GET.dynamic-disks', 'same'],
    ['event-unknown.01.GET.events-99999', 'same'],
    ['events-bad-time.01.GET.events', 'same'],
    ['events-post-badtime.01.POST.events', 'same'],
    ['events-post-missing.01.POST.events', 'same'],
    ['events-post.01.POST.events', 'same'],
    ['health-monitor.03.POST.events', 'same'],
    ['jobs-missing.01.GET.jobs', 'same'],
    ['login-none.01.GET.deployments', 'same'],
    ['login-wrong-password.01.GET.deployments', 'same', 'stranger'],
    ['networks-active.01.GET.networks', 'same'],
    ['networks-orphaned.01.GET.networks', 'same'],
    ['orphaned-vms-empty.01.GET.orphaned-vms', 'same'],
    ['packages-blob-unknown.01.GET.packages-blobs-nope', 'same'],
    ['packages-matches-bad.01.POST.packages-matches', 'same'],
    ['release-sha-twice.01.POST.releases', 'same'],
    ['release-unknown.01.GET.releases-nope', 'same'],
    ['resource-unknown.01.GET.resources-uuid', 'same'],
    ['resurrection-get.01.GET.resurrection', 'same'],
    ['resurrection-put.01.PUT.resurrection', 'same'],
    ['route-unknown.01.GET.no-such-route', 'same'],
    ['stemcell-uploads-missing.01.POST.stemcell-uploads', 'same'],
    ['task-unknown.01.GET.tasks-9999', 'same'],
    ['task-cancel-unknown.01.DELETE.task-9999', 'same'],
    ['tasks-cancel.01.POST.tasks-cancel', 'same'],
    ['tasks-cancel-badstate.01.POST.tasks-cancel', 'same'],
    ['tasks-filter-context.01.GET.tasks', 'same'],
    ['uaa-deployments-garbage.01.GET.deployments.uaa', 'same', 'stranger'],
    ['update-cloud-config-bad-raw.01.POST.cloud-configs', 'code'],
    ['upload-release.01.GET.releases', 'same'],
    ['upload-stemcell.01.POST.stemcell-uploads', 'same'],
    ['vms-top.01.GET.vms', 'same'],
  ])('%s', (name, expected, user) => replay(name, expected, user));

  it.each<[string, Expectation]>([
    ['upload-release.03.POST.releases', 'task'],
    ['upload-release-fix.01.POST.releases', 'task'],
    ['upload-release-url-missing.01.POST.releases', 'task'],
    ['upload-stemcell.02.POST.stemcells', 'task'],
    ['upload-stemcell-url-missing.01.POST.stemcells', 'task'],
    ['delete-stemcell-unknown.01.DELETE.stemcells-lab-stemcell-9', 'task'],
    ['clean-up.01.POST.cleanup', 'task'],
    ['clean-up-all.01.POST.cleanup', 'task'],
  ])('%s', (name, expected) => replay(name, expected));
});

it('tells what it is in the recorded form', async () => {
  const recorded = z.record(z.string(), z.unknown()).parse(bodyOf('info-anonymous.01.GET.info'));
  const now = z.record(z.string(), z.unknown()).parse((await server.call('GET', '/info', { user: null })).json);
  expect({ ...now, features: undefined }).toEqual({ ...recorded, features: undefined });
  const shape = (features: unknown) => JSON.stringify(features).replace(/true|false/g, 'bool').replace(/\[.*?\]/g, '[]');
  expect(shape(now.features)).toBe(shape(recorded.features));
});

describe('configs are kept as recorded', () => {
  it.each<[string, Expectation]>([
    ['update-cloud-config.01.POST.cloud-configs-diff', 'same'],
    ['update-cloud-config.02.POST.cloud-configs', 'same'],
    ['update-runtime-config.01.POST.runtime-configs-diff', 'same'],
    ['update-runtime-config.02.POST.runtime-configs', 'same'],
    ['update-cpi-config.01.POST.cpi-configs-diff', 'same'],
    ['update-cpi-config.02.POST.cpi-configs', 'same'],
  ])('%s', (name, expected) => replay(name, expected));

  it.each<[string, Expectation]>([
    ['configs.01.GET.configs', 'same'],
    ['configs-list.01.GET.configs', 'same'],
    ['runtime-config.01.GET.runtime-configs', 'same'],
    ['cpi-config.01.GET.cpi-configs', 'same'],
    ['update-config-same.01.POST.configs-diff', 'same'],
    ['update-config-stale.01.POST.configs-diff', 'same'],
    ['update-cloud-config-2.01.POST.cloud-configs-diff', 'same'],
    ['diff-config-content.01.POST.configs-diff', 'same'],
    ['config-diff-ids.01.POST.configs-diff', 'same'],
    ['update-config-same.02.POST.configs', 'same'],
    ['config-post-conflict.01.POST.configs', 'same'],
    ['update-config-stale.02.POST.configs', 'same'],
    ['delete-config-cpi.01.DELETE.configs', 'same'],
  ])('%s', async (name, expected) => {
    await db().execute(sql`UPDATE configs SET created_at = '2026-11-22 22:10:46+00'`);
    // The recorded ids; the sequence has seen refused uploads.
    for (const [type, id] of [['cloud', 1], ['runtime', 2], ['cpi', 3]]) await db().execute(sql`UPDATE configs SET id = ${id} WHERE type = ${type} AND id <> ${id}`);
    await replay(name, expected);
  });
});

const instanceSchema = z.object({ agent_id: z.string().nullable(), cid: z.string().nullable(), job: z.string(), index: z.number(), id: z.string(), az: z.string(), ips: z.array(z.string()), vm_created_at: z.string().nullable() });

/** The deployment `lab` as it was after its first deploy. */
async function recordLab(): Promise<void> {
  const manifest = z.object({ manifest: z.string() }).parse(bodyOf('manifest-raw.01.GET.deployments-lab')).manifest;
  const resolved = { name: 'lab', instance_groups: [{ name: 'web', jobs: [{ name: 'web', release: 'caplab' }, { name: 'check', release: 'caplab' }] }, { name: 'smoke', lifecycle: 'errand', jobs: [] }] };
  await db().execute(sql`INSERT INTO deployments (id, name, canonical_name, manifest_text, manifest) VALUES (1, 'lab', 'lab', ${manifest}, ${JSON.stringify(resolved)}::jsonb)`);
  for (const instance of z.array(instanceSchema).parse(bodyOf('instances-plain.01.GET.deployments-lab-instances'))) {
    const spec = { lifecycle: instance.job === 'smoke' ? 'errand' : 'service' };
    await db().execute(sql`
      WITH i AS (
        INSERT INTO instances (uuid, deployment_id, job, index, az, spec) VALUES (${instance.id}, 1, ${instance.job}, ${instance.index}, ${instance.az}, ${JSON.stringify(spec)}::jsonb) RETURNING id)
      INSERT INTO vms (instance_id, agent_id, cid, state, active, networks, created_at)
      SELECT i.id, ${instance.agent_id}::uuid, ${instance.cid}, 'created', true, ${JSON.stringify({ private: { type: 'manual', ip: instance.ips[0] } })}::jsonb, ${instance.vm_created_at}::timestamptz
      FROM i WHERE ${instance.agent_id}::uuid IS NOT NULL`);
  }
  await db().execute(sql`INSERT INTO deployment_configs (deployment_id, config_id) VALUES (1, 1), (1, 2)`);
}

const releaseSchema = z.object({
  jobs: z.array(z.object({ name: z.string(), blobstore_id: z.string(), sha1: z.string(), fingerprint: z.string(), consumes: z.unknown(), provides: z.unknown() })),
  packages: z.array(z.object({ name: z.string(), blobstore_id: z.string(), sha1: z.string(), fingerprint: z.string() })),
});
const stemcellSchema = z.array(z.object({ id: z.number(), name: z.string(), operating_system: z.string(), version: z.string(), cid: z.string(), api_version: z.number() }));

async function recordArtifacts(): Promise<void> {
  const release = releaseSchema.parse(bodyOf('inspect-release.01.GET.releases-caplab'));
  await db().execute(sql`INSERT INTO releases (id, name) VALUES (1, 'caplab')`);
  await db().execute(sql`INSERT INTO release_versions (id, release_id, version, commit_hash, update_completed) VALUES (1, 1, '1.0.0', '2338084', true)`);
  for (const job of release.jobs) {
    const spec = { consumes: job.consumes, provides: job.provides, templates: job.name === 'check' ? { 'run.erb': 'bin/run' } : {} };
    await db().execute(sql`
      WITH j AS (INSERT INTO jobs (release_id, name, version, fingerprint, blobstore_id, sha1, spec)
        VALUES (1, ${job.name}, ${job.fingerprint}, ${job.fingerprint}, ${job.blobstore_id}, ${job.sha1}, ${JSON.stringify(spec)}::jsonb) RETURNING id)
      INSERT INTO release_version_jobs SELECT 1, id FROM j`);
  }
  for (const pkg of release.packages) {
    await db().execute(sql`
      WITH p AS (INSERT INTO packages (release_id, name, version, fingerprint, blobstore_id, sha1) VALUES (1, ${pkg.name}, ${pkg.fingerprint}, ${pkg.fingerprint}, ${pkg.blobstore_id}, ${pkg.sha1}) RETURNING id)
      INSERT INTO release_version_packages SELECT 1, id FROM p`);
  }
  for (const stemcell of stemcellSchema.parse(bodyOf('stemcells.01.GET.stemcells'))) {
    await db().execute(sql`
      INSERT INTO stemcells (id, name, version, operating_system, cid, api_version)
      VALUES (${stemcell.id}, ${stemcell.name}, ${stemcell.version}, ${stemcell.operating_system}, ${stemcell.cid}, ${stemcell.api_version})`);
  }
  await db().execute(sql`INSERT INTO stemcell_uploads (name, version) VALUES ('lab-stemcell', '1.1')`);
}

describe('releases and stemcells are shown as recorded', () => {
  beforeAll(recordArtifacts);

  it.each<[string, Expectation]>([
    ['inspect-release.01.GET.releases-caplab', 'same'],
    ['release-badversion.01.GET.releases-caplab', 'same'],
    ['release-unknown-version.01.GET.releases-caplab', 'same'],
    ['stemcells.01.GET.stemcells', 'same'],
    ['stemcell-uploads.01.POST.stemcell-uploads', 'same'],
    ['upload-stemcell-2.01.POST.stemcell-uploads', 'same'],
    ['upload-release-again.01.POST.packages-matches', 'sorted'],
    ['delete-release.01.DELETE.releases-caplab', 'task'],
    ['delete-stemcell.01.DELETE.stemcells-lab-stemcell-1-2', 'task'],
  ])('%s', (name, expected) => replay(name, expected));
});

/** The links of `lab`: `web` gets `kv` of `store`, and gives `front` to `check` and `smoke`. */
async function recordLabLinks(): Promise<void> {
  const instances = (group: string, ip: string) => ({
    deployment_name: 'lab', domain: 'bosh', instance_group: group, default_network: 'private', networks: ['private'],
    instances: [{ name: group, addresses: { private: ip }, dns_addresses: { private: ip } }],
  });
  const provider = (name: string, job: string, type: string, shared: boolean, ip: string) => ({ group: job, job, originalName: name, name: `lab-${name}`, type, shared, consumable: true, content: instances(job, ip), metadata: {} });
  const consumer = (job: string, group: string, originalName: string, from: ReturnType<typeof provider>, more: { name: string; optional: boolean }) => ({
    group, job, originalName, type: from.type, blocked: false, metadata: {}, ...more,
    link: { content: from.content, provider: { deployment: 'lab', group: from.group, job: from.job, originalName: from.originalName } },
  });
  const kv = provider('kv', 'store', 'kv', true, '10.0.0.9');
  const front = provider('front', 'web', 'http', false, '10.0.0.2');
  await db().transaction((tx) =>
    recordLinks(tx, 1, {
      providers: [kv, front],
      consumers: [
        consumer('web', 'web', 'back', kv, { name: 'lab-kv', optional: false }), consumer('check', 'web', 'front', front, { name: 'front', optional: true }), consumer('smoke', 'smoke', 'front', front, { name: 'front', optional: true }),
      ],
    }),
  );
  await db().execute(sql`UPDATE links SET created_at = '2026-11-22 22:11:48+00'`);
  await db().execute(sql`INSERT INTO local_dns_encoded_names (kind, name, id) VALUES ('az', 'z1', 1) ON CONFLICT DO NOTHING`);
}

describe('a deployment is shown as recorded', () => {
  beforeAll(async () => {
    await recordLab();
    await db().execute(sql`INSERT INTO deployment_release_versions VALUES (1, 1)`);
    await db().execute(sql`INSERT INTO deployment_stemcells VALUES (1, 1)`);
  });

  it.each<[string, Expectation]>([
    ['deployments-all.01.GET.deployments', 'same'],
    ['deployments-excluded.01.GET.deployments', 'same'],
    ['health-monitor.01.GET.deployments', 'same'],
    ['deployment-configs.01.GET.deployment-configs', 'sorted'],
    ['manifest-raw.01.GET.deployments-lab', 'same'],
    ['instances-plain.01.GET.deployments-lab-instances', 'sorted'],
    ['vms-plain.01.GET.deployments-lab-vms', 'sorted'],
    ['instance-unknown.01.GET.deployments-lab-jobs-web-77', 'same'],
    ['instance-badindex.01.PUT.deployments-lab-jobs-web-a-b', 'same'],
    ['cleanup-dryrun.01.GET.cleanup-dryrun', 'same'],
    ['errands.01.GET.deployments-lab-errands', 'same'],
    ['snapshots-empty.01.GET.deployments-lab-snapshots', 'same'],
    ['ignore.01.PUT.deployments-lab-instance-groups-web-uuid', 'same'],
    ['unignore.01.PUT.deployments-lab-instance-groups-web-uuid', 'same'],
    ['deploy-property.01.POST.deployments-lab-diff', 'same'],
    ['deploy-noop.01.POST.deployments-lab-diff', 'same'],
    ['instances.01.GET.deployments-lab-instances', 'task'],
    ['vms.01.GET.deployments-lab-vms', 'task'],
    ['scan-and-fix.01.PUT.deployments-lab-scan-and-fix', 'task'],
    ['health-monitor.05.PUT.deployments-lab-scan-and-fix', 'task'],
    ['delete-deployment.01.DELETE.deployments-lab', 'task'],
    ['deploy-first.03.POST.deployments', 'task'],
  ])('%s', (name, expected) => replay(name, expected));

  describe('with its links', () => {
    beforeAll(recordLabLinks);

    it.each<[string, Expectation]>([
      ['links-providers.01.GET.link-providers', 'same'],
      ['links-consumers.01.GET.link-consumers', 'same'],
      ['links.01.GET.links', 'same'],
      ['link-address.01.GET.link-address', 'same'],
      ['link-address.02.GET.link-address', 'same'],
      ['link-address-azs.01.GET.link-address', 'same'],
      ['link-address-noid.01.GET.link-address', 'same'],
      ['link-address-unknown.01.GET.link-address', 'same'],
      ['link-create-bad.01.POST.links', 'same'],
      ['link-create-unknown.01.POST.links', 'same'],
      ['link-create-unshared.01.POST.links', 'same'],
      ['link-delete-internal.01.DELETE.links-1', 'same'],
      ['link-delete-unknown.01.DELETE.links-99', 'same'],
    ])('%s', (name, expected) => replay(name, expected));

    it('gives a program outside a link, the same for the same request, until it is deleted', async () => {
      const { request, response } = read('link-create.01.POST.links');
      const order = () => server.call('POST', '/links', { headers: { 'content-type': 'application/json' }, body: z.string().parse(request.body) });
      const first = await order();
      expect(first.status).toBe(200);
      const recorded = z.record(z.string(), z.unknown()).parse(JSON.parse(z.string().parse(response.body)));
      expect(first.json).toEqual({ ...recorded, created_at: expect.stringMatching(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/) });
      expect((await order()).json).toEqual(first.json);
      await replay('link-address.04.GET.link-address', 'same');
      await replay('link-delete.01.DELETE.links-4', 'same');
      await replay('link-delete.02.DELETE.links-5', 'same');
      expect((await server.call('DELETE', '/links/4')).status).toBe(404);
      await replay('link-address.05.GET.link-address', 'same');
      await replay('links-consumers.01.GET.link-consumers', 'same');
    });

    it('a network that the provider lacks is refused', async () => {
      const body = JSON.stringify({ link_provider_id: '1', link_consumer: { owner_object: { type: 'external', name: 'outsider' } }, network: 'nope' });
      const answer = await server.call('POST', '/links', { headers: { 'content-type': 'application/json' }, body });
      expect(answer.json).toEqual({ code: 810003, description: "Can't resolve network: `nope` in provider id: 1 for `outsider`" });
    });

    it('an unknown AZ, AZs that are no list and an unknown status are refused', async () => {
      for (const [query, code] of [['azs[]=nope', 810008], ['azs=z1', 810008], ['status=ill', 810007]]) expect((await server.call('GET', `/link_address?link_id=1&${query}`)).json).toMatchObject({ code });
    });
  });

  it('is locked while a task holds its lock', async () => {
    const task = await enqueueTask(db(), { type: 'update_deployment', lane: 'normal', description: 'create deployment', user: 'test', payload: {} });
    await db().execute(sql`UPDATE tasks SET state = 'processing', owner = 'w', lease_expires_at = to_timestamp(1795386439.963539) WHERE id = ${task.id}`);
    await db().execute(sql`INSERT INTO locks (name, uid, task_id, epoch) VALUES ('lock:deployment:lab', gen_random_uuid(), ${task.id}, 1)`);
    await replay('deployments-locked.01.GET.deployments', 'same');
    const [lock] = z.array(z.object({ type: z.string(), resource: z.array(z.string()), timeout: z.string(), task_id: z.string() })).parse((await server.call('GET', '/locks')).json);
    expect(lock).toEqual({ type: 'deployment', resource: ['lab'], timeout: expect.stringMatching(/^1795386439\.96\d{4}$/), task_id: String(task.id) });
    await db().execute(sql`DELETE FROM locks`);
  });
});

const taskSchema = z.array(
  z.object({
    id: z.number(), state: z.string(), description: z.string(), timestamp: z.number(), started_at: z.number().nullable(), result: z.string().nullable(), user: z.string(), deployment: z.string().nullable(), context_id: z.string(),
  }),
);
/** Types by description, as the Ruby director names them. */
const types: Record<string, string> = {
  'create deployment': 'update_deployment', 'create release': 'update_release', 'create stemcell': 'update_stemcell', 'retrieve vm-stats': 'vms', 'delete stemcell': 'delete_stemcell', 'delete release': 'delete_release',
  'delete deployment': 'delete_deployment', 'fetch logs': 'fetch_logs', 'scan cloud': 'cck_scan',
};

async function recordTasks(upTo: number): Promise<void> {
  await db().execute(sql`DELETE FROM tasks`);
  for (const task of taskSchema.parse(JSON.parse(readFileSync(join(folder, '00-tasks.json'), 'utf8'))).filter(({ id }) => id <= upTo)) {
    const type = Object.entries(types).find(([description]) => task.description.startsWith(description))?.[1] ?? 'other';
    await db().execute(sql`
      INSERT INTO tasks (id, type, lane, state, description, result, username, deployment, context_id, payload, started_at, finished_at)
      VALUES (${task.id}, ${type}, 'normal', ${task.state}, ${task.description}, ${task.result}, ${task.user}, ${task.deployment}, ${task.context_id}, '{}', to_timestamp(${task.started_at}), to_timestamp(${task.timestamp}))`);
  }
}

describe('tasks are shown as recorded', () => {
  it.each<[number, string]>([
    [11, 'tasks-limit0.01.GET.tasks'],
    [11, 'tasks-recent.01.GET.tasks'],
    [23, 'tasks-filter.01.GET.tasks'],
    [23, 'tasks-recent-all.01.GET.tasks'],
    [120, 'tasks-state-list.01.GET.tasks'],
    [120, 'tasks-verbose1.01.GET.tasks'],
    [120, 'task-cancelled.01.GET.tasks-104'],
    [120, 'task-cancel-done.01.DELETE.task-11'],
  ])('when there are %i: %s', async (upTo, name) => {
    await recordTasks(upTo);
    await replay(name, 'same');
  });

  it.each<[string, ReturnType<typeof sql>]>([
    ['task-processing.01.GET.tasks-104', sql`state = 'processing'`],
    ['cancel-task.01.DELETE.task-104', sql`state = 'processing'`],
    ['task-cancelling.01.GET.tasks-104', sql`state = 'cancelling'`],
    ['cancel-task-twice.01.DELETE.task-104', sql`state = 'cancelling'`],
  ])('in progress: %s', async (name, state) => {
    await recordTasks(120);
    await db().execute(sql`UPDATE tasks SET ${state}, finished_at = NULL, result = NULL WHERE id = 104`);
    await replay(name, 'same');
  });

  it.each([
    'deploy-first.04.GET.tasks-11-output-event', 'task-deploy-result.01.GET.tasks-11-output-result', 'task-output-all.01.GET.tasks-11-output-all', 'task-output-beyond.01.GET.tasks-11-output-event',
    'task-output-empty-result-range.01.GET.tasks-11-output-result', 'task-output-none.01.GET.tasks-11-output-none', 'task-output-debug-range.01.GET.tasks-11-output-debug', 'task-output-cpi.01.GET.tasks-11-output-cpi',
  ])('output: %s', async (name) => {
    await recordTasks(11);
    const recorded = read(name).response;
    const events = readFileSync(join(folder, 'deploy-first.jsonl'));
    // The call in the middle of the deploy saw the first bytes only.
    const eventsThen = name.startsWith('deploy-first') ? events.subarray(0, 1080) : events;
    await recordStream('event', eventsThen);
    for (const stream of ['debug', 'cpi']) {
      const total = /\/(\d+)$/.exec(recorded.headers['content-range'] ?? '')?.[1];
      if (!name.includes(`-${stream}`) || total === undefined) continue;
      const start = Buffer.from(String(recorded.body));
      await recordStream(stream, Buffer.concat([start, Buffer.alloc(Number(total) - start.length, '\n')]));
    }
    // Its body was normalised after recording, so its length is another than its range says.
    if (name.startsWith('task-output-cpi')) {
      const answer = await server.call('GET', '/tasks/11/output?type=cpi', { headers: { Range: 'bytes=0-499' } });
      expect([answer.status, answer.headers['content-range'], Buffer.byteLength(answer.body)]).toEqual([206, recorded.headers['Content-Range'] ?? recorded.headers['content-range'], 500]);
      return;
    }
    await replay(name, 'same');
  });
});

async function recordStream(stream: string, bytes: Buffer): Promise<void> {
  await db().execute(sql`INSERT INTO task_streams (task_id, stream, size) VALUES (11, ${stream}, ${bytes.length})`);
  for (let at = 0; at < bytes.length; at += 65536) await db().execute(sql`INSERT INTO task_output (task_id, stream, at, epoch, bytes) VALUES (11, ${stream}, ${at}, 1, ${bytes.subarray(at, at + 65536)})`);
}

describe('teams and scopes are refused as recorded', () => {
  beforeAll(async () => {
    await recordTasks(11);
    await db().execute(sql`UPDATE deployments SET teams = '{ateam}'`);
    await db().execute(sql`UPDATE tasks SET teams = '{ateam}' WHERE id = 3`);
    await recordStreamOf(3);
  });
  const recordStreamOf = async (id: number) => {
    await db().execute(sql`INSERT INTO task_streams (task_id, stream, size) VALUES (${id}, 'event', 2)`);
    await db().execute(sql`INSERT INTO task_output (task_id, stream, at, epoch, bytes) VALUES (${id}, 'event', 0, 1, '{}'::bytea)`);
  };

  it.each<[string, Expectation, string]>([
    ['forbidden-deployments-noaccess.01.GET.deployments.uaa', 'same', 'noaccess'],
    ['forbidden-tasks-noaccess.01.GET.tasks.uaa', 'same', 'noaccess'],
    ['forbidden-deploy-reader.01.POST.deployments.uaa', 'same', 'reader'],
    ['forbidden-cloud-config-team.01.POST.cloud-configs.uaa', 'same', 'ateam'],
    ['forbidden-release-upload.01.POST.releases.uaa', 'same', 'ateam'],
    ['forbidden-resource.01.GET.resources-uuid.uaa', 'same', 'ateam'],
    ['forbidden-other-team.01.GET.deployments-lab.uaa', 'same', 'otherteam'],
    ['forbidden-other-team-delete.01.DELETE.deployments-lab.uaa', 'same', 'otherteam'],
    ['forbidden-task.01.GET.tasks-3.uaa', 'same', 'otherteam'],
    ['forbidden-team-reader-variables.01.GET.deployments-lab-variables.uaa', 'same', 'ateamreader'],
    ['team-reader-task-debug.01.GET.tasks-3-output-debug.uaa', 'same', 'ateamreader'],
    ['list-other-team.01.GET.deployments.uaa', 'same', 'otherteam'],
  ])('%s', (name, expected, user) => replay(name, expected, user));
});

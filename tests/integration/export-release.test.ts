import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { eq, sql } from 'drizzle-orm';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import * as t from '../../db/schema';
import { isHash, parseYaml } from '../../server/core/yaml';
import { cleanUp } from '../../server/task-types/cleanup';
import { exportRelease } from '../../server/task-types/export-release';
import type { TaskContext } from '../../server/tasks/context';
import { recordedEvents, timeless } from '../support/artifact-store';
import { compileScene, countInstances, type CompileScene } from '../support/compile-scene';
import { noDisks } from '../support/fake-disks';
import { buildRelease, type ReleaseFixture } from '../support/fixtures';
import { edit } from '../support/planning';
import { startRestServer, type RestServer } from '../support/rest-server';
import { testTask, type Fate, type TestTask } from '../support/task-context';

const cloud = `
azs: [{name: z1}]
vm_types: [{name: small}]
networks: [{name: private, subnets: [{range: 10.0.1.0/24, gateway: 10.0.1.1, az: z1}]}]
compilation: {workers: 2, az: z1, network: private, vm_type: small, reuse_compilation_vms: true}
`;
const manifest = `
name: lab
releases: [{name: caplab, version: 1.0.0}]
stemcells: [{alias: default, os: lab-os, version: '1.1'}]
update: {canaries: 1, max_in_flight: 2, canary_watch_time: 1-10, update_watch_time: 1-10}
instance_groups:
- {name: store, instances: 1, azs: [z1], vm_type: small, stemcell: default, networks: [{name: private}], jobs: [{name: store, release: caplab}]}
`;
/** Names and fingerprints are those of a release that a Ruby director exported. */
const caplab: ReleaseFixture = {
  name: 'caplab', version: '1.0.0', commitHash: '2338084',
  packages: [
    { name: 'app', fingerprint: '27ffb61661052eb54f184709e75d32304f81cba177d1e0d35668923b522097b5', dependencies: ['tool'] },
    { name: 'tool', fingerprint: '9b9abd062319592109812dbba8f133c493e24466105eb570c296bf77b52ce319' },
  ],
  jobs: [
    { name: 'broken', fingerprint: '3764712e7fb70200e2872a31321af91b4488967923a42ba185b79556926b69fc' },
    { name: 'check', fingerprint: '1e6f14a82311dfbe9be5fc22c0075e28523144bbce3766f9cc67f97cb7b06679' },
    { name: 'smoke', fingerprint: 'b2f0f7921f136029c83eb25f0d930deb572e808a1c23921877378fe3ddf9407c' },
    { name: 'store', fingerprint: 'e7d95808bef5d50417f8a232945f044f542e7aec8728f8542157260313eacaa1', spec: { packages: ['tool'] } },
    { name: 'web', fingerprint: '76249c7aa0fc3cdfcce9169b93917b5f2dfbad640a4a12fc1617a478bb25638f', spec: { packages: ['app'] } },
  ],
};
const wish = { deployment: 'lab', release: 'caplab', version: '1.0.0', stemcell: { os: 'lab-os', version: '1.1' }, sha2: true, jobs: [] as string[] };

let scene: CompileScene;
let other: CompileScene;

beforeAll(async () => {
  [scene, other] = await Promise.all([compileScene(), compileScene()]);
  await scene.addStemcell('lab-os', '1.1');
  await scene.addStemcell('lab-os', '2.0');
  await scene.upload(await buildRelease(caplab));
  await scene.deploy('lab', manifest, cloud);
});
afterAll(() => Promise.all([scene.close(), other.close()]));

async function run(change: Partial<typeof wish> = {}, fate?: Fate, task: TestTask = testTask(scene.connections.db)) {
  return { task, ...(await task.attempt((ctx, points) => exportRelease.perform(withResultStream(ctx), scene.deps(points), { ...wish, ...change }), fate)) };
}

/** Result lines are in the database as well, where the next attempt finds them. */
function withResultStream(ctx: TaskContext): TaskContext {
  const { db } = scene.connections;
  return {
    ...ctx,
    result: (line) =>
      ctx.write(async () => {
        await db.execute(sql`INSERT INTO tasks (id, type, lane, state, description, username, payload) VALUES (${ctx.taskId}, 'export_release', 'normal', 'done', '', '', '{}') ON CONFLICT DO NOTHING`);
        await db.execute(sql`INSERT INTO task_streams (task_id, stream, size) VALUES (${ctx.taskId}, 'result', ${line.length})`);
        await ctx.result(line);
      }),
  };
}

/** The one line of the result, and the tarball that it names. */
async function download(task: TestTask): Promise<{ tarball: Buffer; blobId: string; digest: string }> {
  const [line, ...more] = task.results();
  expect(more).toEqual([]);
  const { blobstore_id: blobId, sha1: digest } = JSON.parse(line ?? '') as { blobstore_id: string; sha1: string };
  return { tarball: await scene.blobstore.read(blobId, digest), blobId, digest };
}

async function members(tarball: Buffer): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for await (const entry of Readable.from([gunzipSync(tarball)]).pipe(extract())) found.set(entry.header.name, await buffer(entry));
  return found;
}

async function recordedExports(): Promise<string[]> {
  return (await scene.connections.db.select().from(t.exportedReleases)).map((row) => row.blobstoreId);
}

describe('exporting a release', () => {
  it('compiles what is missing and gives a tarball in the order that BOSH gives it', async () => {
    expect(scene.compiled).toEqual(['tool']);
    const { result, error, task } = await run();
    expect(error).toBeUndefined();
    expect(result).toBe('Exported release: caplab/1.0.0 for lab-os/1.1');
    expect(scene.compiled).toEqual(['tool', 'app']);
    const { tarball, digest } = await download(task);
    expect(digest).toBe(`sha256:${createHash('sha256').update(tarball).digest('hex')}`);
    const found = await members(tarball);
    expect([...found.keys()]).toEqual([
      './release.MF', './jobs/', ...['broken', 'check', 'smoke', 'store', 'web'].map((name) => `./jobs/${name}.tgz`), './compiled_packages/', './compiled_packages/app.tgz', './compiled_packages/tool.tgz',
    ]);
    const releaseMf = found.get('./release.MF')?.toString() ?? '';
    const document = parseYaml(releaseMf);
    if (!isHash(document)) throw new Error(releaseMf);
    expect(Object.keys(document)).toEqual(['compiled_packages', 'jobs', 'commit_hash', 'uncommitted_changes', 'name', 'version']);
    const [app, tool] = caplab.packages ?? [];
    const sha1 = (name: string) => createHash('sha1').update(found.get(`./compiled_packages/${name}.tgz`) ?? '').digest('hex');
    expect(document).toMatchObject({
      name: 'caplab', version: '1.0.0', commit_hash: '2338084', uncommitted_changes: false,
      compiled_packages: [
        { name: 'app', version: app?.fingerprint, fingerprint: app?.fingerprint, sha1: sha1('app'), stemcell: 'lab-os/1.1', dependencies: ['tool'] },
        { name: 'tool', version: tool?.fingerprint, fingerprint: tool?.fingerprint, sha1: sha1('tool'), stemcell: 'lab-os/1.1', dependencies: [] },
      ],
    });
    expect(await countInstances(scene, 'lab')).toBe(1);
  });

  it('writes the events of the Ruby director, for the whole release and for one job', async () => {
    const { task } = await run();
    expect(timeless(task.events())).toEqual(recordedEvents('export-release'));
    const { task: one } = await run({ jobs: ['store'] });
    expect(timeless(one.events())).toEqual(recordedEvents('export-release-job'));
    expect([...(await members((await download(one)).tarball)).keys()]).toEqual(['./release.MF', './jobs/', './jobs/store.tgz', './compiled_packages/', './compiled_packages/tool.tgz']);
  });

  it('tells the plain SHA-1 of the same bytes to clients that want no SHA-2', async () => {
    const { tarball } = await download((await run()).task);
    const plain = await download((await run({ sha2: false })).task);
    expect(plain.digest).toBe(createHash('sha1').update(tarball).digest('hex'));
  });

  it.each([
    ['an unknown deployment', { deployment: 'none' }, 70000, "Deployment 'none' doesn't exist"],
    ['an unknown release', { release: 'none' }, 30005, "Release 'none' doesn't exist"],
    ['an unknown version', { version: '9' }, 30006, "Release version 'caplab/9' doesn't exist"],
    ['an unknown stemcell', { stemcell: { os: 'lab-os', version: '9' } }, 50003, "Stemcell version '9' for OS 'lab-os' doesn't exist"],
    ['a job that the release does not have', { jobs: ['none'] }, 140029, "Job 'none' not found in release 'caplab'"],
  ])('refuses %s', async (_what, change, code, message) => {
    const before = await recordedExports();
    expect((await run(change)).error).toMatchObject({ code, message });
    expect(await recordedExports()).toEqual(before);
  });

  it('refuses a release that the deployment does not use', async () => {
    await scene.upload(await buildRelease({ ...caplab, version: '1.1.0' }));
    expect((await run({ version: '1.1.0' })).error).toMatchObject({ code: 30011, message: "Release version 'caplab/1.1.0' not found in deployment 'lab' manifest" });
  });

  it('leaves neither blob nor record when a part is damaged', async () => {
    const before = await recordedExports();
    const [job] = await scene.connections.db.select().from(t.jobs);
    const whole = await scene.blobstore.read(job?.blobstoreId ?? '');
    await scene.blobstore.put(Buffer.alloc(whole.length, 'x'), job?.blobstoreId ?? '');
    expect((await run()).error).toMatchObject({ code: 100001 });
    expect(await recordedExports()).toEqual(before);
    await scene.blobstore.put(whole, job?.blobstoreId ?? '');
  });

  it('is taken over wherever the node dies: one result, one blob, nothing compiled twice', async () => {
    const exportFor = async (version: string, fate?: Fate, task?: TestTask) => run({ stemcell: { os: 'lab-os', version } }, fate, task);
    await scene.addStemcell('lab-os', '2.1');
    const { points } = await exportFor('2.1');
    for (const how of ['killed', 'lost'] as const) {
      for (let dieAt = how === 'killed' ? 1 : 3; dieAt <= points; dieAt += 13) {
        // Another version each time, so that there is something to compile.
        const version = `2.${how === 'killed' ? 1 : 2}${String(dieAt).padStart(3, '0')}`;
        await scene.addStemcell('lab-os', version);
        const [before, compiledBefore] = [await recordedExports(), scene.compiled.length];
        const first = await exportFor(version, { dieAt, how });
        const second = await exportFor(version, undefined, first.task);
        expect([dieAt, second.error]).toEqual([dieAt, undefined]);
        const { tarball, blobId } = await download(first.task);
        expect((await members(tarball)).size).toBe(10);
        expect((await recordedExports()).filter((id) => !before.includes(id))).toEqual([blobId]);
        // An answer of the agent that nobody heard makes it compile again; real agents give it a second time.
        expect(scene.compiled.length - compiledBefore).toBeLessThanOrEqual(4);
        expect([dieAt, await countInstances(scene, 'lab')]).toEqual([dieAt, 1]);
      }
    }
    expect(points).toBeGreaterThan(30);
  });
});

describe('through the API', () => {
  let server: RestServer;
  beforeAll(async () => {
    server = await startRestServer(scene, { scopes: { team: ['bosh.teams.t.admin'] } });
  });
  afterAll(() => server.close());
  /** As the CLI sends it. */
  const body = { deployment_name: 'lab', jobs: [{ name: 'store' }], release_name: 'caplab', release_version: '1.0.0', sha2: true, stemcell_os: 'lab-os', stemcell_version: '1.1' };
  const post = (change: object = {}, user = 'test') => server.call('POST', '/releases/export', { user, type: 'application/json', body: JSON.stringify({ ...body, ...change }) });

  it('an export becomes a task of the deployment', async () => {
    const answer = await post();
    expect([answer.status, answer.headers.location]).toEqual([303, expect.stringMatching(/^\/tasks\/\d+$/)]);
    const [task] = await scene.connections.db.select().from(t.tasks).where(eq(t.tasks.id, Number(answer.headers.location?.split('/').at(-1))));
    expect(task).toMatchObject({ type: 'export_release', state: 'queued', description: "export release: 'caplab/1.0.0' for 'lab-os/1.1'", deployment: 'lab', payload: { ...wish, jobs: ['store'] } });
  });

  it('an unknown deployment is refused at once, and so are team admins', async () => {
    expect((await post({ deployment_name: 'none' })).json).toEqual({ code: 70000, description: "Deployment 'none' doesn't exist" });
    expect((await post({}, 'team')).status).toBe(401);
  });

  it('the tarball is downloaded whole or in parts', async () => {
    const { blobId, tarball } = await download((await run()).task);
    const get = (range?: string) => server.call('GET', `/resources/${blobId}`, range === undefined ? {} : { headers: { range } });
    const whole = await get();
    expect([whole.status, whole.headers['content-type'], whole.headers['content-length']]).toEqual([200, 'application/x-gzip', String(tarball.length)]);
    const part = await get('bytes=10-19');
    expect([part.status, part.headers['content-length'], part.headers['content-range']]).toEqual([206, '10', `bytes 10-19/${tarball.length}`]);
    const beyond = await get(`bytes=${tarball.length}-`);
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, `bytes */${tarball.length}`]);
  });
});

describe('an exported release', () => {
  it('is uploaded to another director, which deploys it without compiling', async () => {
    const { tarball } = await download((await run()).task);
    await other.addStemcell('lab-os', '1.7');
    await other.upload(tarball);
    const again = edit(manifest, ["version: '1.1'", 'version: latest'], ['name: store, release: caplab', 'name: web, release: caplab']);
    await other.deploy('lab', again, cloud);
    expect(other.compiled).toEqual([]);
    expect(other.applied.map((spec) => Object.keys(spec.packages as object))).toEqual([['app']]);
    const pinned = edit(again, ['version: 1.0.0}', "version: 1.0.0, exported_from: [{os: lab-os, version: '1.1'}]}"], ['name: lab\n', 'name: pinned\n']);
    await other.deploy('pinned', pinned, cloud);
    await expect(other.deploy('wrong', edit(pinned, ["version: '1.1'}]", "version: '1.2'}]"], ['name: pinned\n', 'name: wrong\n']), cloud)).rejects.toMatchObject({ code: 60003 });
    expect(other.compiled).toEqual([]);
  });

  it('cannot be exported for a version of the stemcell for which it is not compiled', async () => {
    const task = testTask(other.connections.db);
    const { error } = await task.attempt((ctx) => exportRelease.perform(ctx, other.deps(), { ...wish, stemcell: { os: 'lab-os', version: '1.7' } }));
    expect(error).toMatchObject({ code: 60001, message: expect.stringMatching(/compiled for other versions of the stemcell only[^]* - 'app\//) });
  });

  it('goes with the next clean-up, but not while its task is at work', async () => {
    const { db } = scene.connections;
    const { blobId } = await download((await run()).task);
    await db.execute(sql`DELETE FROM stemcells WHERE version LIKE '2.%'`);
    await db.execute(sql`INSERT INTO tasks (id, type, lane, state, description, username, payload) VALUES (4711, 'export_release', 'normal', 'processing', '', '', '{}')`);
    await db.insert(t.exportedReleases).values({ blobstoreId: '00000000-0000-4000-8000-000000000001', taskId: 4711 });
    const task = testTask(db);
    const { result } = await task.attempt((ctx) => cleanUp.perform(ctx, { db, blobstore: scene.blobstore, deleteImage: async () => undefined, disks: noDisks, maxThreads: 2, vmCalls: () => ({ deleteVm: async () => undefined }) }, { removeAll: false, keepOrphanedDisks: false }));
    expect(result).toMatch(/, [1-9]\d* exported release\(s\), /);
    expect(await recordedExports()).toEqual(['00000000-0000-4000-8000-000000000001']);
    expect(await scene.blobstore.exists(blobId)).toBe(false);
    expect(task.events().filter((line) => line.stage === 'Deleting exported releases').map((line) => line.task)).toContain(blobId);
  });
});

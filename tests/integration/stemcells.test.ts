import { mkdir, readdir, readFile, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { listReleases } from '../../server/releases/catalogue-store';
import { createCompiledPackage, loadReleases } from '../../server/releases/store';
import { isUploadNeeded, listStemcells, loadStemcells } from '../../server/stemcells/store';
import { cleanUp, selectForCleanUp } from '../../server/task-types/cleanup';
import { deleteStemcell } from '../../server/task-types/delete-stemcell';
import type { StemcellCloud, StemcellDeps } from '../../server/task-types/stemcell-cloud';
import { updateRelease } from '../../server/task-types/update-release';
import { updateStemcell } from '../../server/task-types/update-stemcell';
import { noDisks } from '../support/fake-disks';
import { artifactStore, recordedEvents, timeless, type ArtifactStore } from '../support/artifact-store';
import { buildRelease, buildStemcell, tgz, type StemcellFixture } from '../support/fixtures';
import { mortalBlobstore, testTask, type Attempt, type Fate, type Points, type TestTask } from '../support/task-context';

let store: ArtifactStore;
let tmpDir: string;
let cloud: FakeCloud;

beforeAll(async () => {
  store = await artifactStore();
  tmpDir = join(store.folder, 'tmp');
});
afterAll(() => store.close());
beforeEach(async () => {
  await store.reset();
  cloud = new FakeCloud();
});

/** The images of some clouds, and the calls that were made. */
class FakeCloud {
  readonly images = new Map<string, { cpi: string; content: string; cloudProperties: unknown; tags: unknown }>();
  fault: Error | undefined;
  #created = 0;

  cpi(name: string, formats: string[], points?: Points, aliases = [name]): StemcellCloud {
    return {
      name, aliases,
      info: async () => ({ stemcellFormats: formats }),
      createStemcell: async (imagePath, cloudProperties, tags) => {
        points?.pass(false);
        if (this.fault) throw this.fault;
        const cid = `sc-${++this.#created}`;
        this.images.set(cid, { cpi: name, content: await readFile(imagePath, 'utf8'), cloudProperties, tags });
        points?.pass(false);
        return cid;
      },
    };
  }

  delete(cpi: string, cid: string, points: Points): void {
    points.pass(false);
    if (this.fault) throw this.fault;
    expect(this.images.get(cid)?.cpi ?? cpi).toBe(cpi);
    this.images.delete(cid);
    points.pass(false);
  }
}

type Clouds = (points: Points) => StemcellCloud[];
const oneCloud: Clouds = (points) => [cloud.cpi('', ['dummy'], points)];

function deps(points: Points, clouds: Clouds): StemcellDeps {
  return { db: store.db, blobstore: mortalBlobstore(store.blobs, points), tmpDir, clouds: async () => clouds(points), deleteImage: async (_ctx, cpi, cid) => cloud.delete(cpi, cid, points), stemcellTags: async () => ({ team: 'infra' }) };
}

interface Options {
  fix?: boolean;
  sha1?: string;
  clouds?: Clouds;
}

async function prepareUpload(tarball: Buffer, { fix = false, sha1, clouds = oneCloud }: Options = {}): Promise<{ task: TestTask; run: (fate?: Fate) => Promise<Attempt> }> {
  const { id, sha256 } = await store.blobs.put(tarball);
  const task = testTask(store.db);
  return { task, run: (fate) => task.attempt((ctx, points) => updateStemcell.perform(ctx, deps(points, clouds), { source: { kind: 'blob', blobId: id, sha256 }, sha1, fix }), fate) };
}

async function upload(stemcell: StemcellFixture | Buffer = {}, options: Options = {}): Promise<Attempt & { task: TestTask }> {
  const { task, run } = await prepareUpload(Buffer.isBuffer(stemcell) ? stemcell : await buildStemcell(stemcell), options);
  return { task, ...(await run()) };
}

async function remove(name: string, version: string, { force = false, clouds = oneCloud, fate, task = testTask(store.db) }: { force?: boolean; clouds?: Clouds; fate?: Fate; task?: TestTask } = {}) {
  return { task, ...(await task.attempt((ctx, points) => deleteStemcell.perform(ctx, deps(points, clouds), { name, version, force }), fate)) };
}

/** A deployment that uses all rows of a stemcell version. */
async function deployStemcell(deployment: string, version: string): Promise<void> {
  await store.db.execute(sql`
    WITH d AS (INSERT INTO deployments (name, canonical_name) VALUES (${deployment}, ${deployment}) RETURNING id)
    INSERT INTO deployment_stemcells (deployment_id, stemcell_id) SELECT d.id, s.id FROM d, stemcells s WHERE s.version = ${version}`);
}

const temporaryFiles = async () => (await readdir(tmpDir).catch(() => [])).filter((name) => name.startsWith('directorate-stemcell-'));
const knownCid = 'ddaf394e-a54c-4492-a6eb-63bdee0b9d66';

describe('uploading a stemcell', () => {
  it('gives the image to the CPI, records it, and leaves no file', async () => {
    const { result, task } = await upload();
    expect(result).toBe('/stemcells/lab-stemcell/1.1');
    expect([...cloud.images.values()]).toEqual([{ cpi: '', content: 'an image', cloudProperties: { root_device: '/dev/lab' }, tags: { team: 'infra' } }]);
    expect(await listStemcells(store.db)).toMatchObject([{ name: 'lab-stemcell', version: '1.1', os: 'lab-os', cid: 'sc-1', cpi: '', apiVersion: 3, deployments: [] }]);
    expect(timeless(task.events())).toEqual(recordedEvents('upload-stemcell', (text) => text.replaceAll('a0909cc7-6105-42e5-87e1-5f66ab48b1e8', 'sc-1')));
    expect([await temporaryFiles(), await store.strayBlobs()]).toEqual([[], []]);
  });

  it('is skipped when the stemcell is known, and done again with --fix', async () => {
    await upload();
    const again = await upload();
    expect(again.task.events().filter((line) => line.state === 'finished').map((line) => line.task)).toEqual([
      'Extracting stemcell archive', 'Verifying stemcell manifest', 'Checking if this stemcell already exists',
      'Uploading stemcell lab-stemcell/1.1 to the cloud (already exists, skipped)', 'Save stemcell lab-stemcell/1.1 (sc-1) (already exists, skipped)',
    ]);
    const fixed = await upload({}, { fix: true });
    expect(timeless(fixed.task.events())).toEqual(recordedEvents('upload-stemcell-fix', (text) => text.replaceAll(knownCid, 'sc-2')));
    expect((await loadStemcells(store.db)).map((stemcell) => stemcell.cid)).toEqual(['sc-2']);
  });

  it('goes to every CPI that takes its format, and remembers that the others were asked', async () => {
    const clouds: Clouds = (points) => [cloud.cpi('east', ['dummy'], points, ['east', 'old']), cloud.cpi('west', ['raw'], points), cloud.cpi('north', [], points)];
    const stemcell = { name: 'lab-stemcell', version: '1.1' };
    expect(await isUploadNeeded(store.db, stemcell, [{ aliases: ['east', 'old'] }])).toBe(true);
    const { task, result } = await upload({}, { clouds });
    expect(result).toBe('/stemcells/lab-stemcell/1.1');
    expect(task.events().filter((line) => line.state === 'finished').map((line) => line.task)).toEqual([
      'Extracting stemcell archive', 'Verifying stemcell manifest',
      'Checking if this stemcell already exists (cpi: east)', 'Uploading stemcell lab-stemcell/1.1 to the cloud (cpi: east)', 'Save stemcell lab-stemcell/1.1 (sc-1) (cpi: east)',
      'Checking if this stemcell already exists (cpi: north)', 'Uploading stemcell lab-stemcell/1.1 to the cloud (cpi: north)', 'Save stemcell lab-stemcell/1.1 (sc-2) (cpi: north)',
    ]);
    expect(task.events()[0]).toMatchObject({ total: 11 });
    expect((await loadStemcells(store.db)).map((row) => [row.cpi, row.cid])).toEqual([['east', 'sc-1'], ['north', 'sc-2']]);
    expect(await isUploadNeeded(store.db, stemcell, [{ aliases: ['east', 'old'] }, { aliases: ['west'] }])).toBe(false);
    expect(await isUploadNeeded(store.db, stemcell, [{ aliases: ['new', 'east'] }])).toBe(false);
    expect(await isUploadNeeded(store.db, stemcell, [{ aliases: ['south'] }])).toBe(true);
  });

  it('finds a stemcell under a former name of the CPI', async () => {
    await upload({}, { clouds: (points) => [cloud.cpi('', ['dummy'], points)] });
    await upload({}, { clouds: (points) => [cloud.cpi('east', ['dummy'], points, ['east', ''])] });
    expect((await loadStemcells(store.db)).map((row) => [row.cpi, row.cid])).toEqual([['', 'sc-1']]);
  });

  const refusals: [string, () => Promise<Buffer>, number, Options?][] = [
    ['a truncated archive', async () => (await buildStemcell({ image: Buffer.alloc(100_000, Math.random().toString()) })).subarray(0, 300), 50000],
    ['random bytes', async () => Buffer.alloc(3_000, 'x'), 50000],
    ['an entry that leads out', () => tgz([{ name: '../image', content: 'x' }]), 50000],
    ['an image that is a link', () => tgz([{ name: 'stemcell.MF', content: 'name: x' }, { name: 'image', type: 'symlink', linkname: '/etc/passwd' }]), 50000],
    ['no manifest', () => tgz([{ name: 'image', content: 'x' }]), 50000],
    ['bad YAML', () => tgz([{ name: 'stemcell.MF', content: 'a: [' }]), 50000],
    ['a manifest without version', () => buildStemcell({ manifest: { version: undefined } }), 40001],
    ['formats of the wrong type', () => buildStemcell({ manifest: { stemcell_formats: 'dummy' } }), 40000],
    ['no image', () => buildStemcell({ image: null }), 50001],
    ['a wrong digest', () => buildStemcell(), 50007, { sha1: `sha256:${'0'.repeat(64)}` }],
    ['a format that no CPI takes', () => buildStemcell({ manifest: { stemcell_formats: ['raw'] } }), 50008],
  ];
  it.each(refusals)('refuses %s and leaves nothing', async (_what, build, code, options) => {
    expect((await upload(await build(), options)).error).toMatchObject({ code });
    expect(await listStemcells(store.db)).toEqual([]);
    expect([cloud.images.size, await temporaryFiles(), await store.strayBlobs()]).toEqual([0, [], []]);
  });

  it('writes the events of the Ruby director for a manifest without version and for a dead URL', async () => {
    const { task } = await upload({ manifest: { name: 'lab-stemcell', operating_system: 'lab-os', version: undefined, api_version: undefined } });
    expect(timeless(task.events())).toEqual(recordedEvents('upload-stemcell-broken'));
    const other = testTask(store.db);
    await other.attempt((ctx, points) => updateStemcell.perform(ctx, deps(points, oneCloud), { source: { kind: 'url', location: 'https://127.0.0.1:1/none.tgz' }, sha1: undefined, fix: false }));
    expect(timeless(other.events())).toEqual(recordedEvents('upload-stemcell-url-missing'));
  });

  it('takes numbers as name and version', async () => {
    expect((await upload({ manifest: { version: 3586.1 } })).result).toBe('/stemcells/lab-stemcell/3586.1');
  });

  it('leaves no record when the cloud fails, and keeps the old image when a fix fails', async () => {
    cloud.fault = new Error('no room');
    expect((await upload()).error).toMatchObject({ message: 'no room' });
    const { rows } = await store.db.execute(sql`SELECT * FROM stemcells`);
    expect(rows).toEqual([]);
    cloud.fault = undefined;
    await upload();
    cloud.fault = new Error('no room');
    await upload({}, { fix: true });
    expect((await loadStemcells(store.db)).map((row) => row.cid)).toEqual(['sc-1']);
  });

  it('removes images that killed nodes left on the disk long ago', async () => {
    await mkdir(join(tmpDir, 'directorate-stemcell-old'), { recursive: true });
    await utimes(join(tmpDir, 'directorate-stemcell-old'), 1, 1);
    await upload();
    expect(await temporaryFiles()).toEqual([]);
  });

  it.each([false, true])('ends the same after any point of death (fix: %s), and tells of an image that may be left', async (fix) => {
    const tarball = await buildStemcell();
    const start = async () => {
      await store.reset();
      cloud = new FakeCloud();
      if (fix) await upload(tarball);
      return prepareUpload(tarball, { fix });
    };
    const undisturbed = await (await start()).run();
    const images = cloud.images.size;
    for (let dieAt = 1; dieAt <= undisturbed.points; dieAt++) {
      for (const how of ['killed', 'lost'] as const) {
        const { run, task } = await start();
        await run({ dieAt, how });
        const second = await run();
        const place = `${how} at point ${dieAt} of ${undisturbed.points}`;
        expect(second.result, place).toBe('/stemcells/lab-stemcell/1.1');
        const [row, ...others] = await loadStemcells(store.db);
        expect([others, row && cloud.images.has(row.cid)], place).toEqual([[], true]);
        const warned = task.events().some((line) => line.type === 'warning');
        expect(cloud.images.size <= images || warned, place).toBe(true);
        expect(await store.strayBlobs(), place).toEqual([]);
        const { rows } = await store.db.execute(sql`SELECT 1 FROM stemcells WHERE cid IS NULL OR task_id IS NOT NULL`);
        expect(rows, place).toEqual([]);
      }
    }
  });
});

describe('deleting a stemcell', () => {
  it('removes image, record and the memory of the upload', async () => {
    await upload();
    expect((await remove('lab-stemcell', '1.1')).result).toBe('/stemcells/lab-stemcell/1.1');
    expect([cloud.images.size, await listStemcells(store.db)]).toEqual([0, []]);
    expect(await isUploadNeeded(store.db, { name: 'lab-stemcell', version: '1.1' }, [{ aliases: [''] }])).toBe(true);
  });

  it('refuses what is in use or unknown, with the events of the Ruby director', async () => {
    await upload();
    await deployStemcell('lab', '1.1');
    expect(timeless((await remove('lab-stemcell', '1.1')).task.events())).toEqual(recordedEvents('delete-stemcell-in-use'));
    expect(timeless((await remove('lab-stemcell', '9')).task.events())).toEqual(recordedEvents('delete-stemcell-unknown'));
    expect((await listStemcells(store.db))[0]?.deployments).toEqual(['lab']);
    expect(await isUploadNeeded(store.db, { name: 'lab-stemcell', version: '1.1' }, [{ aliases: [''] }])).toBe(false);
  });

  it('forgets what the cloud cannot delete only when forced', async () => {
    await upload();
    cloud.fault = new Error('image busy');
    expect((await remove('lab-stemcell', '1.1')).error).toMatchObject({ message: 'image busy' });
    expect(await listStemcells(store.db)).toHaveLength(1);
    expect((await remove('lab-stemcell', '1.1', { force: true })).result).toBe('/stemcells/lab-stemcell/1.1');
    expect(await listStemcells(store.db)).toEqual([]);
  });

  it('ends the same after any point of death', async () => {
    await upload();
    const { points } = await remove('lab-stemcell', '1.1');
    for (let dieAt = 1; dieAt <= points; dieAt++) {
      await upload();
      const task = testTask(store.db);
      await remove('lab-stemcell', '1.1', { task, fate: { dieAt, how: dieAt % 2 === 0 ? 'killed' : 'lost' } });
      expect((await remove('lab-stemcell', '1.1', { task })).result, `point ${dieAt} of ${points}`).toBe('/stemcells/lab-stemcell/1.1');
      expect([cloud.images.size, await listStemcells(store.db)]).toEqual([0, []]);
    }
  });
});

describe('cleaning up', () => {
  async function runCleanUp(removeAll: boolean, fate?: Fate, task = testTask(store.db)) {
    return { task, ...(await task.attempt((ctx, points) => cleanUp.perform(ctx, { ...deps(points, oneCloud), maxThreads: 1, disks: noDisks, vmCalls: () => ({ deleteVm: async () => undefined }) }, { removeAll, keepOrphanedDisks: false }), fate)) };
  }

  async function addRelease(version: string): Promise<void> {
    const { id, sha256 } = await store.blobs.put(await buildRelease({ name: 'web', version, packages: [{ name: 'nginx', fingerprint: `nginx-${version}` }], jobs: [{ name: 'web', fingerprint: `web-${version}` }] }));
    const done = await testTask(store.db).attempt((ctx) => updateRelease.perform(ctx, { db: store.db, blobstore: store.blobs }, { source: { kind: 'blob', blobId: id, sha256 }, sha1: undefined, fix: false, rebase: false }));
    expect(done.error).toBeUndefined();
  }

  async function addCompiled(version: string, stemcellVersion: string): Promise<void> {
    const release = (await loadReleases(store.db, ['web'])).find((one) => one.version === version);
    const { id, sha1 } = await store.blobs.put(Buffer.from(`${version} ${stemcellVersion}`));
    await store.db.transaction((tx) => createCompiledPackage(tx, { packageId: release?.packages[0]?.id ?? 0, stemcellOs: 'lab-os', stemcellVersion, dependencyKey: '[]', blobstoreId: id, sha1 }));
  }

  async function fill(): Promise<void> {
    for (const version of ['1', '2', '3', '10']) await addRelease(version);
    for (const version of ['1.1', '1.2', '2.1', '1.10']) await upload({ manifest: { version } });
    await deployStemcell('lab', '1.1');
    await store.db.execute(sql`
      INSERT INTO deployment_release_versions (deployment_id, release_version_id) SELECT d.id, v.id FROM deployments d, release_versions v WHERE d.name = 'lab' AND v.version = '10'`);
    await addCompiled('10', '1.7');
    await addCompiled('10', '2.1');
  }

  const state = async () => ({
    releases: (await listReleases(store.db)).flatMap((release) => release.versions.map((version) => version.version)),
    stemcells: (await loadStemcells(store.db)).map((stemcell) => stemcell.version),
    compiled: (await store.db.execute(sql`SELECT stemcell_version AS v FROM compiled_packages`)).rows.map((row) => row.v),
    images: cloud.images.size,
    stray: await store.strayBlobs(),
  });

  it('keeps the two newest unused versions', async () => {
    await fill();
    const selected = await selectForCleanUp(store.db, { removeAll: false });
    expect([selected.releases, selected.stemcells.map((stemcell) => stemcell.version), selected.compiledPackages]).toEqual([[{ name: 'web', versions: ['1'] }], ['1.2'], []]);
    const { result, task } = await runCleanUp(false);
    expect(result).toMatch(/^Deleted 1 release\(s\), 1 stemcell\(s\), 0 extra compiled package\(s\), 0 orphaned disk\(s\), 0 orphaned vm\(s\), 0 exported release\(s\), Deleted 0 dns blob\(s\) created before \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+0000$/);
    expect(await state()).toEqual({ releases: ['2', '3', '10'], stemcells: ['1.1', '2.1', '1.10'], compiled: ['1.7', '2.1'], images: 3, stray: [] });
    expect(task.events().filter((line) => line.state === 'finished').map((line) => [line.stage, line.task])).toEqual([
      ['Deleting packages', 'nginx/nginx-1'], ['Deleting jobs', 'web/web-1'], ['Deleting releases', 'web/1'], ['Deleting stemcells', 'lab-stemcell/1.2'], ['Deleting dns blobs', 'DNS blobs'],
    ]);
  });

  it('deletes everything unused when asked to, compiled packages without stemcell included', async () => {
    await fill();
    const { result } = await runCleanUp(true);
    expect(result).toMatch(/^Deleted 3 release\(s\), 3 stemcell\(s\), 1 extra compiled package\(s\)/);
    expect(await state()).toEqual({ releases: ['10'], stemcells: ['1.1'], compiled: ['1.7'], images: 1, stray: [] });
  });

  it('leaves releases of runtime configs alone', async () => {
    for (const version of ['1', '2']) await addRelease(version);
    await store.db.execute(sql`INSERT INTO configs (type, name, content) VALUES ('runtime', 'default', 'releases: [{name: web, version: 1}]')`);
    await runCleanUp(true);
    expect((await state()).releases).toEqual(['1']);
  });

  it('writes the events of the Ruby director', async () => {
    await upload();
    await upload({ manifest: { version: '1.2' } });
    await deployStemcell('lab', '1.1');
    expect(timeless((await runCleanUp(true)).task.events())).toEqual(recordedEvents('clean-up-all'));
  });

  it('ends the same, and counts the same, after any point of death', async () => {
    const start = async () => {
      await store.reset();
      cloud = new FakeCloud();
      await addRelease('1');
      await addRelease('2');
      await addCompiled('2', '9');
      await upload({ manifest: { version: '1.1' } });
      await store.db.execute(sql`
        WITH d AS (INSERT INTO deployments (name, canonical_name) VALUES ('lab', 'lab') RETURNING id)
        INSERT INTO deployment_release_versions (deployment_id, release_version_id) SELECT d.id, v.id FROM d, release_versions v WHERE v.version = '2'`);
    };
    await start();
    const undisturbed = await runCleanUp(true);
    const wanted = await state();
    const counts = (result: string | undefined) => result?.split(', Deleted 0 dns')[0];
    expect(counts(undisturbed.result)).toMatch(/^Deleted 1 release\(s\), 1 stemcell\(s\), 1 extra/);
    for (let dieAt = 1; dieAt <= undisturbed.points; dieAt++) {
      await start();
      const task = testTask(store.db);
      await runCleanUp(true, { dieAt, how: dieAt % 2 === 0 ? 'killed' : 'lost' }, task);
      const second = await runCleanUp(true, undefined, task);
      expect([counts(second.result), await state()], `point ${dieAt} of ${undisturbed.points}`).toEqual([counts(undisturbed.result), wanted]);
    }
  });
});

import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { gzipSync } from 'node:zlib';
import { sql } from 'drizzle-orm';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { deferred } from '../../server/core/concurrency';
import { findJobs, getRelease, getVersionContents, isPackageBlob, listReleases } from '../../server/releases/catalogue-store';
import { matchManifest } from '../../server/releases/match-manifest';
import { createCompiledPackage, findCompiledPackage, listCompiledPackages, loadReleases, nextBuild } from '../../server/releases/store';
import { deleteRelease } from '../../server/task-types/delete-release';
import { updateRelease } from '../../server/task-types/update-release';
import { artifactStore, recordedEvents, timeless, type ArtifactStore } from '../support/artifact-store';
import { buildRelease, tgz, type ReleaseFixture } from '../support/fixtures';
import { mortalBlobstore, testTask, type Attempt, type Fate, type TestTask } from '../support/task-context';

let store: ArtifactStore;

beforeAll(async () => {
  store = await artifactStore();
});
afterAll(() => store.close());
beforeEach(() => store.reset());

interface Options {
  fix?: boolean;
  rebase?: boolean;
  sha1?: string;
}

/** An upload whose archive lies in the blobstore, as the API leaves it; call it for each attempt. */
async function prepareUpload(tarball: Buffer, { fix = false, rebase = false, sha1 }: Options = {}): Promise<{ task: TestTask; run: (fate?: Fate) => Promise<Attempt> }> {
  const { id, sha256 } = await store.blobs.put(tarball);
  const task = testTask(store.db);
  const payload = { source: { kind: 'blob' as const, blobId: id, sha256 }, sha1, fix, rebase };
  return { task, run: (fate) => task.attempt((ctx, points) => updateRelease.perform(ctx, { db: store.db, blobstore: mortalBlobstore(store.blobs, points) }, payload), fate) };
}

async function upload(release: ReleaseFixture | Buffer, options: Options = {}): Promise<{ result: string | undefined; error: unknown; task: TestTask }> {
  const { task, run } = await prepareUpload(Buffer.isBuffer(release) ? release : await buildRelease(release), options);
  return { task, ...(await run()) };
}

async function remove(name: string, version?: string, force = false, fate?: Fate, task = testTask(store.db)) {
  return { task, ...(await task.attempt((ctx, points) => deleteRelease.perform(ctx, { db: store.db, blobstore: mortalBlobstore(store.blobs, points) }, { name, version, force }), fate)) };
}

/** A deployment that uses a version. */
async function deployVersion(deployment: string, release: string, version: string): Promise<void> {
  await store.db.execute(sql`
    WITH d AS (INSERT INTO deployments (name, canonical_name) VALUES (${deployment}, ${deployment}) RETURNING id)
    INSERT INTO deployment_release_versions (deployment_id, release_version_id)
    SELECT d.id, v.id FROM d, release_versions v JOIN releases r ON r.id = v.release_id WHERE r.name = ${release} AND v.version = ${version}`);
}

const hex = (letter: string) => letter.repeat(64);
/** The release that was uploaded to a Ruby director, with other contents. */
const caplab: ReleaseFixture = {
  name: 'caplab', version: '1.0.0', commitHash: '2338084',
  packages: [
    { name: 'app', fingerprint: '27ffb61661052eb54f184709e75d32304f81cba177d1e0d35668923b522097b5', dependencies: ['tool'] },
    { name: 'tool', fingerprint: '9b9abd062319592109812dbba8f133c493e24466105eb570c296bf77b52ce319' },
  ],
  jobs: [
    { name: 'broken', fingerprint: '3764712e7fb70200e2872a31321af91b4488967923a42ba185b79556926b69fc' },
    { name: 'check', fingerprint: '1e6f14a82311dfbe9be5fc22c0075e28523144bbce3766f9cc67f97cb7b06679', spec: { consumes: [{ name: 'front', type: 'http', optional: true }] } },
    { name: 'smoke', fingerprint: 'b2f0f7921f136029c83eb25f0d930deb572e808a1c23921877378fe3ddf9407c' },
    { name: 'store', fingerprint: 'e7d95808bef5d50417f8a232945f044f542e7aec8728f8542157260313eacaa1' },
    { name: 'web', fingerprint: '76249c7aa0fc3cdfcce9169b93917b5f2dfbad640a4a12fc1617a478bb25638f', spec: { packages: ['app'], provides: [{ name: 'web', type: 'http' }] } },
  ],
};
const small: ReleaseFixture = { packages: [{ name: 'nginx', dependencies: ['pcre'] }, { name: 'pcre' }], jobs: [{ name: 'web', spec: { packages: ['nginx'] } }] };

describe('uploading a release', () => {
  it('writes the events of the Ruby director: first, again, and with --fix', async () => {
    for (const [label, fix] of [['upload-release', false], ['upload-release-again', false], ['upload-release-fix', true]] as const) {
      const { result, error, task } = await upload(caplab, { fix });
      expect(error).toBeUndefined();
      expect(result).toBe("Created release 'caplab/1.0.0'");
      expect(timeless(task.events())).toEqual(recordedEvents(label));
    }
    expect(await store.strayBlobs()).toEqual([]);
  });

  it('reuses what an earlier version brought', async () => {
    await upload(caplab);
    const { task } = await upload({
      ...caplab, version: '1.1.0', commitHash: 'a5eb0d0',
      packages: [caplab.packages?.[0] ?? { name: '' }, { name: 'rotten', fingerprint: 'fbf37e12087b2185891e86488d1d605dca51b8c67e55b6fadbe4319e3c19e2dd' }, caplab.packages?.[1] ?? { name: '' }].map((pkg) => ({ ...pkg, omit: pkg.name !== 'rotten' })),
      jobs: [
        ...(caplab.jobs?.slice(0, 2) ?? []),
        { name: 'flaky', fingerprint: 'ee2ac89e04c198603398f695740ca18981aac22ebeeeb6debaee3caa07240f48' },
        { name: 'needy', fingerprint: '480c7d1d527a8da5e6cf8f29cf7b4157011b63d6e9f1c31745216e7c1aa0cc65' },
        ...(caplab.jobs?.slice(2) ?? []),
      ],
    });
    expect(timeless(task.events())).toEqual(recordedEvents('upload-release-1.1'));
    expect((await listReleases(store.db)).map(({ versions }) => versions.map((version) => [version.version, version.jobNames.length]))).toEqual([[['1.0.0', 5], ['1.1.0', 7]]]);
  });

  it('copies the source of an equal package of another release', async () => {
    await upload(small);
    const { error } = await upload({ name: 'other', packages: [{ name: 'renamed', fingerprint: 'pcre-fp', omit: true }] });
    expect(error).toBeUndefined();
    const { packages } = await getRelease(store.db, 'other');
    expect(await store.blobs.read(packages[0]?.blobstoreId ?? '')).toEqual(await store.blobs.read((await getRelease(store.db, 'web')).packages[1]?.blobstoreId ?? ''));
    expect(packages[0]?.blobstoreId).not.toBe((await getRelease(store.db, 'web')).packages[1]?.blobstoreId);
  });

  it('numbers rebased versions on', async () => {
    for (const expected of ['1+dev.1', '1+dev.2', '1+dev.3']) {
      expect((await upload({ ...small, version: '1+dev.77' }, { rebase: true })).result).toBe(`Created release 'web/${expected}'`);
    }
    expect((await upload({ ...small, version: '2.0' }, { rebase: true })).error).toMatchObject({ code: 30010 });
  });

  it('replaces damaged blobs with --fix and drops what was compiled from them', async () => {
    await upload(small);
    const before = await loadReleases(store.db, ['web']);
    const pcre = before[0]?.packages.find((pkg) => pkg.name === 'pcre');
    await store.blobs.put(Buffer.from('damaged'), pcre?.blobstoreId ?? '');
    await addCompiled(pcre?.id ?? 0, 'os', '1');
    expect((await upload(small, { fix: true })).error).toBeUndefined();
    const after = (await loadReleases(store.db, ['web']))[0]?.packages.find((pkg) => pkg.name === 'pcre');
    expect((await store.blobs.read(after?.blobstoreId ?? '', after?.sha1 ?? '')).length).toBeGreaterThan(10);
    expect(await listCompiledPackages(store.db, [pcre?.id ?? 0])).toEqual([]);
    expect(await store.strayBlobs()).toEqual([]);
  });

  it('takes a plain tar as well as a gzipped one', async () => {
    const { gunzipSync } = await import('node:zlib');
    expect((await upload(gunzipSync(await buildRelease(small)))).result).toBe("Created release 'web/1.0.0'");
  });
});

async function addCompiled(packageId: number, stemcellOs: string, stemcellVersion: string, dependencyKey = '[]') {
  const { id, sha1 } = await store.blobs.put(Buffer.from(`compiled ${randomUUID()}`));
  return store.db.transaction((tx) => createCompiledPackage(tx, { packageId, stemcellOs, stemcellVersion, dependencyKey, blobstoreId: id, sha1 }));
}

describe('uploading a compiled release', () => {
  const compiled: ReleaseFixture = { compiledPackages: [{ name: 'nginx', dependencies: ['pcre'], stemcell: 'ubuntu/1.5' }, { name: 'pcre', stemcell: 'ubuntu/1.5' }], jobs: [{ name: 'web' }] };

  it('records compiled packages with their dependencies and no source', async () => {
    const { task, result } = await upload(compiled);
    expect(result).toBe("Created release 'web/1.0.0'");
    expect(task.events().filter((line) => line.state === 'finished').map((line) => [line.stage, line.total, line.task])).toEqual([
      ['Extracting release', 1, 'Extracting release'],
      ['Verifying manifest', 1, 'Verifying manifest'],
      ['Resolving package dependencies', 1, 'Resolving package dependencies'],
      ['Creating new packages', 2, 'nginx/nginx-fp'],
      ['Creating new packages', 2, 'pcre/pcre-fp'],
      ['Creating new compiled packages', 2, 'nginx/nginx-fp for ubuntu/1.5'],
      ['Creating new compiled packages', 2, 'pcre/pcre-fp for ubuntu/1.5'],
      ['Creating new jobs', 1, 'web/web-fp'],
      ['Compiled Release has been created', 1, 'web/1.0.0'],
    ]);
    const { packages } = await getVersionContents(store.db, 'web', '1.0.0');
    expect(packages.map((pkg) => [pkg.name, pkg.blobstoreId, pkg.compiled.map((form) => form.stemcell)])).toEqual([['nginx', null, ['ubuntu/1.5']], ['pcre', null, ['ubuntu/1.5']]]);
    const [release] = await loadReleases(store.db, ['web']);
    const [form] = await listCompiledPackages(store.db, [release?.packages[0]?.id ?? 0]);
    expect(form).toMatchObject({ dependencyKey: '[["pcre","pcre-fp"]]', build: 1, stemcellOs: 'ubuntu', stemcellVersion: '1.5' });
  });

  it('adds another stemcell to the same version, and sources later', async () => {
    await upload(compiled);
    await upload({ ...compiled, compiledPackages: compiled.compiledPackages?.map((pkg) => ({ ...pkg, stemcell: 'ubuntu/1.6' })) ?? [] });
    expect((await getVersionContents(store.db, 'web', '1.0.0')).packages[0]?.compiled.map((form) => form.stemcell)).toEqual(['ubuntu/1.5', 'ubuntu/1.6']);
    const { task } = await upload({ ...small, jobs: [{ name: 'web' }] });
    expect(task.events().map((line) => line.stage)).toContain('Processing 2 existing packages');
    const { packages } = await getVersionContents(store.db, 'web', '1.0.0');
    expect(packages.map((pkg) => [pkg.blobstoreId !== null, pkg.compiled.length])).toEqual([[true, 2], [true, 2]]);
    expect(await store.strayBlobs()).toEqual([]);
  });

  it('copies equal compiled packages of another release and re-creates its own with --fix', async () => {
    await upload(compiled);
    const again = { ...compiled, name: 'twin', compiledPackages: compiled.compiledPackages?.map((pkg) => ({ ...pkg, omit: true })) ?? [] };
    expect((await upload(again)).error).toBeUndefined();
    expect((await upload({ ...again, compiledPackages: compiled.compiledPackages ?? [] }, { fix: true })).error).toBeUndefined();
    expect(await store.strayBlobs()).toEqual([]);
  });

  it('refuses packages whose recorded dependencies are others', async () => {
    await upload(compiled);
    const { error } = await upload({ ...compiled, version: '2', compiledPackages: [{ name: 'nginx', stemcell: 'ubuntu/1.6' }] });
    expect(error).toMatchObject({ code: 30016 });
  });

  it('tells which compiled packages need no upload', async () => {
    await upload(compiled);
    const offer = (name: string, fingerprint: string, stemcell: string, dependencies: string[] = []) => ({ name, version: fingerprint, fingerprint, stemcell, dependencies });
    const ask = (list: unknown[]) => matchManifest(store.db, { name: 'x', version: '1', compiled_packages: list }, 'compiled');
    expect(await ask([offer('nginx', 'nginx-fp', 'ubuntu/1.5', ['pcre']), offer('pcre', 'pcre-fp', 'ubuntu/1.5')])).toEqual(['nginx-fp', 'pcre-fp']);
    expect(await ask([offer('pcre', 'pcre-fp', 'ubuntu/1.6')])).toEqual([]);
    expect(await ask([offer('pcre', 'pcre-fp', 'ubuntu/1.5'), offer('alias', 'pcre-fp', 'ubuntu/1.5')])).toEqual([]);
    expect(await ask([offer('nginx', 'nginx-fp', 'ubuntu/1.5')])).toEqual([]);
  });
});

describe('refused uploads leave nothing behind', () => {
  const job = (over: Record<string, unknown>) => ({ ...small, jobs: [{ name: 'web', ...over }] });
  const refusals: [string, () => Promise<Buffer>, number, Options?][] = [
    ['a truncated archive', async () => (await buildRelease(small)).subarray(0, 400), 30002],
    ['random bytes', async () => Buffer.alloc(3_000, 'x'), 30002],
    ['an entry that leads out', () => buildRelease({ ...small, extra: [{ name: '../evil', content: 'x' }] }), 30002],
    ['an absolute entry', () => buildRelease({ ...small, extra: [{ name: '/evil', content: 'x' }] }), 30002],
    ['a link', () => buildRelease({ ...small, extra: [{ name: 'packages/evil.tgz', type: 'symlink', linkname: '/etc/passwd' }] }), 30002],
    ['an entry twice', () => buildRelease({ ...small, extra: [{ name: 'release.MF', content: 'name: other' }] }), 30002],
    ['no manifest', () => tgz([{ name: 'LICENSE', content: 'x' }]), 30003],
    ['bad YAML', () => tgz([{ name: 'release.MF', content: 'a: [' }]), 710000],
    ['a manifest that is a list', () => tgz([{ name: 'release.MF', content: '- a' }]), 30002],
    ['packages of the wrong type', () => buildRelease({ ...small, manifest: { packages: 'none' } }), 30002],
    ['a bad name', () => buildRelease({ ...small, name: 'a b' }), 40005],
    ['a bad version', () => buildRelease({ ...small, version: '1..2' }), 30010],
    ['a missing dependency', () => buildRelease({ packages: [{ name: 'a', dependencies: ['b'] }] }), 30012],
    ['a circle of dependencies', () => buildRelease({ packages: [{ name: 'a', dependencies: ['b'] }, { name: 'b', dependencies: ['a'] }] }), 30012],
    ['the wrong digest of the upload', () => buildRelease(small), 30015, { sha1: '0'.repeat(40) }],
    ['a malformed digest', () => buildRelease(small), 30015, { sha1: 'md5:zz' }],
    ['the wrong digest of a package', () => buildRelease({ ...small, packages: [{ name: 'nginx' }, { name: 'pcre', sha1: `sha256:${hex('0')}` }] }), 60000],
    ['the wrong digest of a job', () => buildRelease(job({ sha1: '0'.repeat(40) })), 80000],
    ['a package that is missing', () => buildRelease({ ...small, packages: [{ name: 'nginx', omit: true }] }), 60000],
    ['a package that is no archive', () => buildRelease({ ...small, packages: [{ name: 'nginx', archive: gzipSync('no tar') }] }), 60000],
    ['a package that is cut off', async () => buildRelease({ ...small, packages: [{ name: 'nginx', archive: (await tgz([{ name: 'x', content: 'x'.repeat(9_000) }])).subarray(0, 60) }] }), 60000],
    ['a job without job.MF', () => buildRelease(job({ files: [{ name: 'monit', content: '' }] })), 80001],
    ['a job that renders outside its directory', () => buildRelease(job({ files: [{ name: 'job.MF', content: 'name: web\ntemplates: {a.erb: ../../bin/a}' }, { name: 'monit', content: '' }, { name: 'templates/a.erb', content: '' }] })), 80000],
    ['a job without template', () => buildRelease(job({ files: [{ name: 'job.MF', content: 'name: web\ntemplates: {a.erb: a}' }, { name: 'monit', content: '' }] })), 80002],
    ['a job without monit', () => buildRelease(job({ files: [{ name: 'job.MF', content: 'name: web' }] })), 80004],
    ['a job of another name', () => buildRelease(job({ spec: { name: 'other' } })), 80016],
    ['bad logs', () => buildRelease(job({ spec: { logs: ['x'] } })), 80005],
    ['bad properties', () => buildRelease(job({ spec: { properties: ['x'] } })), 80008],
    ['bad packages', () => buildRelease(job({ spec: { packages: 'x' } })), 80012],
    ['a link without type', () => buildRelease(job({ spec: { provides: [{ name: 'x' }] } })), 80013],
    ['an optional provider', () => buildRelease(job({ spec: { provides: [{ name: 'x', type: 'y', optional: true }] } })), 80013],
    ['a link twice', () => buildRelease(job({ spec: { consumes: [{ name: 'x', type: 'y' }, { name: 'x', type: 'z' }] } })), 80014],
    ['a job that leads out', () => buildRelease(job({ files: [{ name: 'job.MF', content: 'name: web' }, { name: '../monit', content: '' }] })), 80000],
  ];
  it.each(refusals)('%s', async (_what, build, expected, options) => {
    const { error, task } = await upload(await build(), options);
    expect(error).toMatchObject({ code: expected });
    expect(task.events().at(-1)).toMatchObject({ error: { code: expected } });
    expect(await store.releases()).toEqual({ versions: [], packages: [], jobs: [], compiled: [] });
    expect(await store.strayBlobs()).toEqual([]);
  });

  it('a broken archive with the events of the Ruby director', async () => {
    const { task } = await upload((await buildRelease(caplab)).subarray(0, 1_000));
    expect(timeless(task.events())).toEqual(recordedEvents('upload-release-broken-archive'));
    expect(task.debug()).toMatch(/damaged or cut off/);
  });

  it('other contents under a version that exists', async () => {
    await upload(small);
    const before = await store.releases();
    expect((await upload({ ...small, commitHash: 'fffffff' })).error).toMatchObject({ code: 30014 });
    expect((await upload({ ...small, packages: [{ name: 'nginx', fingerprint: 'other' }] })).error).toMatchObject({ code: 30012 });
    expect((await upload({ ...small, jobs: [{ name: 'web', fingerprint: 'other' }] })).error).toMatchObject({ code: 30013 });
    expect(await store.releases()).toEqual(before);
    expect(await store.strayBlobs()).toEqual([]);
  });

  it('a cancelled upload', async () => {
    const { task, run } = await prepareUpload(await buildRelease(small));
    task.cancel();
    expect((await run()).error).toMatchObject({ name: 'TaskCancelled' });
    expect(await store.strayBlobs()).toEqual([]);
  });
});

describe('uploading from a URL', () => {
  let server: Server;
  let base: string;
  let tarball: Buffer;
  const seen: { url: string | undefined; authorization: string | undefined }[] = [];
  beforeAll(async () => {
    tarball = await buildRelease(small);
    server = createServer((request, response) => {
      seen.push({ url: request.url, authorization: request.headers.authorization });
      const path = request.url ?? '';
      if (path === '/release.tgz') return void response.end(tarball);
      if (path === '/loop') return void response.writeHead(302, { location: '/loop' }).end();
      if (path === '/moved') return void response.writeHead(302, { location: '/release.tgz' }).end();
      if (path === '/away') return void response.writeHead(302, { location: `http://localhost:${new URL(base).port}/release.tgz` }).end();
      if (path === '/file') return void response.writeHead(302, { location: 'file:///etc/passwd' }).end();
      if (path === '/broken') {
        response.writeHead(200, { 'content-length': 100_000 });
        return void response.write('x', () => response.destroy());
      }
      response.writeHead(path === '/fault' ? 500 : 404).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    base = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}`;
  });
  afterAll(() => server.close());

  async function fromUrl(location: string, sha1?: string): Promise<Attempt & { task: TestTask }> {
    const task = testTask(store.db);
    return { task, ...(await task.attempt((ctx) => updateRelease.perform(ctx, { db: store.db, blobstore: store.blobs }, { source: { kind: 'url', location }, sha1, fix: false, rebase: false }))) };
  }

  it('follows redirects, checks the digest and deletes the download', async () => {
    const { createHash } = await import('node:crypto');
    const { result, task } = await fromUrl(`${base}/moved`, createHash('sha1').update(tarball).digest('hex'));
    expect(result).toBe("Created release 'web/1.0.0'");
    expect(task.events().filter((line) => line.state === 'finished').slice(0, 3).map((line) => line.stage)).toEqual(['Downloading remote release', 'Verifying remote release', 'Extracting release']);
    expect(await store.strayBlobs()).toEqual([]);
  });

  it('refuses a wrong digest', async () => {
    expect((await fromUrl(`${base}/release.tgz`, hex('0').slice(24))).error).toMatchObject({ code: 30015 });
    expect(await store.strayBlobs()).toEqual([]);
  });

  it.each([
    ['/nothing', 100002, /No release found/],
    ['/fault', 100001, /Check task debug log/],
    ['/broken', 100001, /Check task debug log/],
    ['/loop', 100001, /Too many redirects/],
    ['/file', 100001, /only http and https/],
  ])('fails on %s', async (path, code, message) => {
    expect((await fromUrl(base + path)).error).toMatchObject({ code, message: expect.stringMatching(message) as string });
    expect(await store.strayBlobs()).toEqual([]);
  });

  it('refuses other schemes', async () => {
    expect((await fromUrl('file:///etc/passwd')).error).toMatchObject({ code: 100001 });
    expect((await fromUrl('nonsense')).error).toMatchObject({ code: 100001 });
  });

  it('gives credentials to their own host only and keeps them out of the log', async () => {
    seen.length = 0;
    const { task, result } = await fromUrl(`${base.replace('http://', 'http://user:s%40cret@')}/away`);
    expect(result).toBeDefined();
    expect(seen).toEqual([{ url: '/away', authorization: `Basic ${Buffer.from('user:s@cret').toString('base64')}` }, { url: '/release.tgz', authorization: undefined }]);
    expect(task.debug()).not.toMatch(/cret/);
  });

  it('writes the events of the Ruby director when nobody answers', async () => {
    const { task } = await fromUrl('https://127.0.0.1:1/none.tgz', '0000');
    expect(timeless(task.events())).toEqual(recordedEvents('upload-release-url-missing'));
  });
});

describe('an upload whose node dies', () => {
  const scenarios: [string, ReleaseFixture | undefined, ReleaseFixture, Options, 0 | 1][] = [
    ['of a new release', undefined, { packages: [{ name: 'a' }], jobs: [{ name: 'j' }] }, {}, 0],
    ['of the same release', undefined, { packages: [{ name: 'a' }], jobs: [{ name: 'j' }] }, {}, 1],
    ['with --fix and rebased', { version: '1+dev.1', packages: [{ name: 'a' }], jobs: [{ name: 'j' }] }, { version: '1+dev.1', packages: [{ name: 'a' }], jobs: [{ name: 'j' }] }, { fix: true, rebase: true }, 0],
    ['of a compiled release', undefined, { compiledPackages: [{ name: 'a', stemcell: 'os/1' }] }, {}, 1],
    ['that is refused', undefined, { packages: [{ name: 'a', sha1: '0'.repeat(40) }], jobs: [{ name: 'j' }] }, {}, 0],
  ];
  it.each(scenarios)('%s ends the same after any point of death', async (_what, before, release, options, offset) => {
    const tarball = await buildRelease(release);
    const earlier = before && (await buildRelease(before));
    const start = async () => {
      await store.reset();
      if (earlier) await upload(earlier);
      return prepareUpload(tarball, options);
    };
    const undisturbed = await (await start()).run();
    const wanted = await store.releases();
    for (let dieAt = 1; dieAt <= undisturbed.points; dieAt++) {
      const how = dieAt % 2 === offset ? 'killed' : 'lost';
      const { run } = await start();
      const first = await run({ dieAt, how });
      const second = await run();
      const place = `${how} at point ${dieAt} of ${undisturbed.points}, first attempt: ${String(first.error)}`;
      expect([second.result, String(second.error)], place).toEqual([undisturbed.result, String(undisturbed.error)]);
      expect(await store.releases(), place).toEqual(wanted);
      expect(await store.strayBlobs(), place).toEqual([]);
    }
  });

  it('leaves no blob when it wakes up after another node has finished', async () => {
    const { task, run } = await prepareUpload(await buildRelease({ packages: [{ name: 'a' }], jobs: [{ name: 'j' }] }));
    const fate: Fate = { dieAt: Infinity, how: 'lost' };
    const asleep = deferred<void>();
    const awake = deferred<void>();
    const { blobs } = store;
    store.blobs = {
      ...blobs,
      put: async (content, id) => {
        asleep.resolve();
        await awake.promise;
        return blobs.put(content, id);
      },
    };
    const sleeper = run(fate);
    store.blobs = blobs;
    await asleep.promise;
    expect((await run()).result).toBe("Created release 'web/1.0.0'");
    const wanted = await store.releases();
    fate.dieAt = 0;
    awake.resolve();
    expect((await sleeper).error).toMatchObject({ name: 'TaskLost' });
    expect(task.events().at(-1)).toMatchObject({ stage: 'Release has been created', state: 'finished' });
    expect(await store.releases()).toEqual(wanted);
    expect(await store.strayBlobs()).toEqual([]);
  });
});

describe('deleting', () => {
  it('a version with the events of the Ruby director, and the release with its last version', async () => {
    await upload(caplab);
    const { task, result } = await remove('caplab', '1.0.0');
    expect(result).toBe('/release/caplab');
    expect(timeless(task.events())).toEqual(recordedEvents('delete-release'));
    expect(await listReleases(store.db)).toEqual([]);
    expect(await store.strayBlobs()).toEqual([]);
  });

  it('a version keeps what other versions share', async () => {
    await upload(small);
    await upload({ ...small, version: '2', packages: [...(small.packages ?? []), { name: 'extra' }] });
    const { task } = await remove('web', '2');
    expect(task.events().filter((line) => line.state === 'finished').map((line) => line.task)).toEqual(['extra/extra-fp']);
    expect((await loadReleases(store.db, ['web'])).map((release) => release.packages.length)).toEqual([2]);
    expect(await store.strayBlobs()).toEqual([]);
  });

  it('a whole release with its compiled packages', async () => {
    await upload(small);
    await upload({ ...small, version: '2' });
    await addCompiled((await getRelease(store.db, 'web')).packages[0]?.id ?? 0, 'os', '1');
    const { task } = await remove('web');
    expect(task.events().filter((line) => line.state === 'finished').map((line) => [line.stage, line.task])).toEqual([
      ['Deleting packages', 'nginx/nginx-fp'], ['Deleting packages', 'pcre/pcre-fp'], ['Deleting jobs', 'web/web-fp'],
      ['Deleting release versions', 'web/1.0.0'], ['Deleting release versions', 'web/2'],
    ]);
    expect(await listReleases(store.db)).toEqual([]);
    expect(await store.strayBlobs()).toEqual([]);
  });

  it('refuses what is in use or unknown', async () => {
    await upload(caplab);
    await deployVersion('lab', 'caplab', '1.0.0');
    expect(timeless((await remove('caplab', '1.0.0')).task.events())).toEqual(recordedEvents('delete-release-in-use'));
    expect((await remove('caplab')).error).toMatchObject({ code: 30007, message: "Release 'caplab' is still in use by: lab" });
    expect((await remove('nope')).error).toMatchObject({ code: 30005 });
    expect((await remove('caplab', '9')).error).toMatchObject({ code: 30006 });
    expect((await loadReleases(store.db, ['caplab'])).length).toBe(1);
  });

  it('goes on without the blobstore only when forced', async () => {
    await upload(small);
    const broken = { ...store.blobs, delete: async () => { throw new Error('blobstore down'); } };
    const attempt = (force: boolean) => testTask(store.db).attempt((ctx) => deleteRelease.perform(ctx, { db: store.db, blobstore: broken }, { name: 'web', version: undefined, force }));
    expect((await attempt(false)).error).toMatchObject({ message: 'blobstore down' });
    expect(await loadReleases(store.db, ['web'])).toEqual([]);
    expect(await matchManifest(store.db, { name: 'web', version: '1.0.0', packages: [{ fingerprint: 'pcre-fp' }] }, 'source')).toEqual([]);
    expect((await attempt(true)).result).toBe('/release/web');
    expect(await listReleases(store.db)).toEqual([]);
  });

  it('makes an upload repair a version that was half deleted', async () => {
    await upload(small);
    await remove('web', '1.0.0', false, { dieAt: 9, how: 'killed' });
    expect(await loadReleases(store.db, ['web'])).toEqual([]);
    expect((await upload(small)).error).toBeUndefined();
    expect((await loadReleases(store.db, ['web']))[0]?.packages.length).toBe(2);
    expect(await store.strayBlobs()).toEqual([]);
  });

  it('ends the same after any point of death', async () => {
    const release: ReleaseFixture = { packages: [{ name: 'a' }], jobs: [{ name: 'j' }] };
    for (const version of [undefined, '1.0.0']) {
      await store.reset();
      await upload(release);
      const { points } = await remove('web', version);
      for (let dieAt = 1; dieAt <= points; dieAt++) {
        await upload(release);
        const task = testTask(store.db);
        await remove('web', version, false, { dieAt, how: dieAt % 2 === 0 ? 'killed' : 'lost' }, task);
        expect((await remove('web', version, false, undefined, task)).result, `point ${dieAt} of ${points}`).toBe('/release/web');
        expect(await listReleases(store.db)).toEqual([]);
        expect(await store.strayBlobs()).toEqual([]);
      }
    }
  });
});

describe('what the APIs and deploys read', () => {
  it('lists, shows and finds', async () => {
    await upload({ ...small, version: '10' });
    await upload({ ...small, version: '9' });
    await upload({ ...small, version: '1.2-dev' });
    await deployVersion('lab', 'web', '9');
    const [web] = await listReleases(store.db);
    expect(web?.versions.map((version) => [version.version, version.currentlyDeployed])).toEqual([['1+dev.2', false], ['9', true], ['10', false]]);
    expect((await getVersionContents(store.db, 'web', '1.2-dev')).jobs.map((job) => job.name)).toEqual(['web']);
    await expect(getVersionContents(store.db, 'web', '!!')).rejects.toMatchObject({ code: 30010, message: 'Release version invalid: !!' });
    await expect(getVersionContents(store.db, 'web', '7')).rejects.toMatchObject({ code: 30006, message: "Release version 'web/7' doesn't exist" });
    await expect(getRelease(store.db, 'nope')).rejects.toMatchObject({ code: 30005, message: "Release 'nope' doesn't exist" });
    expect(await findJobs(store.db, { release: 'web', name: 'web', fingerprint: 'web-fp' })).toMatchObject([{ name: 'web', spec: { packages: ['nginx'] } }]);
    const blobId = (await getRelease(store.db, 'web')).packages[0]?.blobstoreId ?? '';
    expect([await isPackageBlob(store.db, blobId), await isPackageBlob(store.db, randomUUID()), await isPackageBlob(store.db, 'nope')]).toEqual([true, false, false]);
    expect(await matchManifest(store.db, { packages: [{ fingerprint: 'pcre-fp' }, { fingerprint: 'unknown' }, {}] }, 'source')).toEqual(['pcre-fp']);
    await expect(matchManifest(store.db, { a: 'b' }, 'source')).rejects.toMatchObject({ code: 440001, message: "Manifest doesn't have a usable packages section" });
  });

  it('numbers compiled packages and keeps the first of the same key', async () => {
    await upload(small);
    const packageId = (await getRelease(store.db, 'web')).packages[0]?.id ?? 0;
    const key = { packageId, stemcellOs: 'os', stemcellVersion: '1', dependencyKey: '[]' };
    expect(await nextBuild(store.db, key)).toBe(1);
    const first = await addCompiled(packageId, 'os', '1');
    expect((await addCompiled(packageId, 'os', '1')).blobstoreId).toBe(first.blobstoreId);
    const racing = await Promise.all(['a', 'b', 'c', 'd'].map((other) => addCompiled(packageId, 'os', '1', JSON.stringify([other]))));
    expect(racing.map((form) => form.build).sort()).toEqual([2, 3, 4, 5]);
    expect(await findCompiledPackage(store.db, key)).toEqual(first);
    expect(await findCompiledPackage(store.db, { ...key, stemcellVersion: '2' })).toBeUndefined();
  });
});

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { deferred } from '../../server/core/concurrency';
import { countInstances, compileScene, type CompileScene } from '../support/compile-scene';
import { buildRelease } from '../support/fixtures';

const cloud = (workers: number) => `
azs: [{name: z1}]
vm_types: [{name: small}]
networks: [{name: private, subnets: [{range: 10.0.1.0/24, gateway: 10.0.1.1, az: z1}]}]
compilation: {workers: ${workers}, az: z1, network: private, vm_type: small, reuse_compilation_vms: true}
`;
const manifest = (name: string, version: string) => `
name: ${name}
releases: [{name: web, version: '${version}'}]
stemcells: [{alias: default, os: lab-os, version: '1.1'}]
update: {canaries: 1, max_in_flight: 2, canary_watch_time: 1-10, update_watch_time: 1-10}
instance_groups:
- {name: web, instances: 1, azs: [z1], vm_type: small, stemcell: default, networks: [{name: private}], jobs: [{name: web, release: web}]}
`;

let scene: CompileScene;

beforeAll(async () => {
  scene = await compileScene();
  await scene.addStemcell('lab-os', '1.1');
});
afterAll(() => scene.close());

async function uploadWeb(version: string): Promise<void> {
  const name = (part: string) => ({ name: part, fingerprint: `${part}-${version}` });
  await scene.upload(await buildRelease({
    version, commitHash: version, packages: [{ ...name('nginx'), dependencies: ['pcre', 'zlib'] }, name('pcre'), name('zlib')],
    jobs: [{ ...name('web'), spec: { packages: ['nginx'] } }],
  }));
}

describe('two deploys that need the same packages', () => {
  it('compile each package once: the second waits for the first', async () => {
    await uploadWeb('1');
    const started = deferred<void>();
    const go = deferred<void>();
    scene.onCompile = async () => {
      started.resolve();
      await go.promise;
    };
    const first = scene.deploy('a', manifest('a', '1'), cloud(2));
    await started.promise;
    const second = scene.deploy('b', manifest('b', '1'), cloud(2));
    await scene.waitForLock();
    go.resolve();
    await Promise.all([first, second]);
    expect(scene.compiled.toSorted()).toEqual(['nginx', 'pcre', 'zlib']);
    expect(scene.compiled.at(-1)).toBe('nginx');
    expect(scene.applied.map((spec) => JSON.stringify(spec.packages))).toEqual([JSON.stringify(scene.applied[0]?.packages), JSON.stringify(scene.applied[0]?.packages)]);
    expect([await countInstances(scene, 'a'), await countInstances(scene, 'b')]).toEqual([1, 1]);
  });

  it('and of which the first fails: the second compiles what the first had not', async () => {
    await uploadWeb('2');
    scene.compiled.length = 0;
    const started = deferred<void>();
    const go = deferred<void>();
    let failed = false;
    scene.onCompile = async ({ name }) => {
      started.resolve();
      await go.promise;
      if (name !== 'pcre' || failed) return;
      failed = true;
      throw new Error('packaging exits 1');
    };
    const first = scene.deploy('c', manifest('c', '2'), cloud(1));
    await started.promise;
    const second = scene.deploy('d', manifest('d', '2'), cloud(1));
    await scene.waitForLock();
    go.resolve();
    await expect(first).rejects.toThrow('packaging exits 1');
    const events = await second;
    expect(scene.compiled.toSorted()).toEqual(['nginx', 'pcre', 'zlib']);
    expect(events.filter((line) => line.stage === 'Compiling packages' && line.state === 'finished')).toHaveLength(3);
    // The instance that has no VM yet; no compilation VM is left.
    expect(await countInstances(scene, 'c')).toBe(1);
  });
});

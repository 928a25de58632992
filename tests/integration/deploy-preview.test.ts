import { sql } from 'drizzle-orm';
import fc from 'fast-check';
import type { PoolClient } from 'pg';
import { stringify } from 'yaml';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { connect } from '../../db/client';
import { callerWithoutTask } from '../../server/agents/agent';
import { findDeployment } from '../../server/deploy/store';
import { previewDeploy } from '../../server/deploy/preview';
import { parseManifestYaml } from '../../server/core/yaml';
import { requestOf, type DeployFlags } from '../../server/task-types/deployment-payloads';
import { currentConfigIds } from '../../server/task-types/order-deploy';
import { viewPlan } from '../../server/trpc/deploy-preview';
import { deployScene, type DeployScene } from '../support/deploy-scene';
import { testStore, type TestStore } from '../support/director-parts';

/** Previews against what deploys then do, on a real database with a cloud and agents in memory. */

let store: TestStore;
let scene: DeployScene;

beforeAll(async () => {
  store = await testStore();
  scene = deployScene(store);
  const jobs = (version: string) => [
    { name: 'server', spec: { packages: ['app'], properties: { port: { default: 80 } }, provides: [{ name: 'http', type: 'http', properties: ['port'] }] }, fingerprint: `server-${version}` },
    { name: 'client', spec: { packages: ['tool'], properties: { greeting: { default: 'hello' } }, consumes: [{ name: 'http', type: 'http', optional: true }] } },
  ];
  const packages = (version: string) => [{ name: 'app', dependencies: ['lib'], fingerprint: `app-${version}` }, { name: 'lib' }, { name: 'tool' }];
  for (const version of ['1.0.0', '2.0.0']) await scene.uploadRelease({ name: 'rel', version, jobs: jobs(version), packages: packages(version) });
  for (const version of ['1.1', '1.2']) await scene.uploadStemcell(version);
  const subnet = (net: number, index: number) => ({ range: `10.${net}.${index}.0/24`, gateway: `10.${net}.${index}.1`, az: `z${index}`, static: [`10.${net}.${index}.200-10.${net}.${index}.220`] });
  await scene.uploadConfig('cloud', {
    azs: ['z1', 'z2', 'z3'].map((name) => ({ name })), vm_types: [{ name: 'small' }, { name: 'large', cloud_properties: { cpu: 8 } }],
    networks: [1, 2].map((net) => ({ name: `net${net}`, subnets: [1, 2, 3].map((index) => subnet(net, index)) })),
    compilation: { workers: 2, reuse_compilation_vms: true, az: 'z1', vm_type: 'small', network: 'net1' },
  });
});
afterAll(() => store.close());

/** Statements for the update of one instance, BEGIN and COMMIT of its transactions included. */
const queriesPerUpdate = 28;

/** What a step of the series may change. */
interface Group {
  name: string;
  instances: number;
  network: string;
  vmType: string;
  property: number;
}

interface World {
  groups: Group[];
  stemcell: string;
  release: string;
}

interface Step {
  what: string;
  change: (world: World) => World;
  flags?: Partial<DeployFlags>;
}

const group = (name: string, instances = 2): Group => ({ name, instances, network: 'net1', vmType: 'small', property: 1 });

function manifestOf(world: World, name = 'dep'): object {
  return {
    name, releases: [{ name: 'rel', version: world.release }], stemcells: [{ alias: 'default', os: 'lab-os', version: world.stemcell }],
    update: { canaries: 1, max_in_flight: 4, canary_watch_time: 1, update_watch_time: 1 },
    instance_groups: world.groups.map((one, i) => ({
      name: one.name, instances: one.instances, azs: ['z1', 'z2', 'z3'], vm_type: one.vmType, stemcell: 'default', networks: [{ name: one.network }],
      jobs: [{ name: i === 0 ? 'server' : 'client', release: 'rel', properties: i === 0 ? { port: one.property } : { greeting: `g${one.property}` } }],
    })),
  };
}

const inGroup = (at: number, change: (one: Group) => Partial<Group>) => (world: World): World => ({ ...world, groups: world.groups.map((one, i) => (i === at % world.groups.length ? { ...one, ...change(one) } : one)) });

/** One step; `at` picks a group, `value` is whatever the step needs. */
const steps: Record<string, (at: number, value: number) => Step> = {
  scale: (at, value) => ({ what: `scale to ${value % 6}`, change: inGroup(at, () => ({ instances: value % 6 })) }),
  property: (at, value) => ({ what: 'property', change: inGroup(at, () => ({ property: value })) }),
  stemcell: (_at, value) => ({ what: 'stemcell', change: (world) => ({ ...world, stemcell: value % 2 ? '1.1' : '1.2' }) }),
  release: (_at, value) => ({ what: 'release', change: (world) => ({ ...world, release: value % 2 ? '1.0.0' : '2.0.0' }) }),
  network: (at) => ({ what: 'network', change: inGroup(at, (one) => ({ network: one.network === 'net1' ? 'net2' : 'net1' })) }),
  vmType: (at) => ({ what: 'vm type', change: inGroup(at, (one) => ({ vmType: one.vmType === 'small' ? 'large' : 'small' })) }),
  recreate: () => ({ what: 'recreate', change: (world) => world, flags: { recreate: true } }),
  removeGroup: (at) => ({ what: 'remove a group', change: (world) => (world.groups.length > 1 ? { ...world, groups: world.groups.filter((_, i) => i !== at % world.groups.length) } : world) }),
  addGroup: (_at, value) => ({ what: 'add a group', change: (world) => (world.groups.length < 4 ? { ...world, groups: [...world.groups, group(`g${value}`, 1 + (value % 3))] } : world) }),
  nothing: () => ({ what: 'nothing', change: (world) => world }),
};

type View = Awaited<ReturnType<typeof preview>>;

/** The preview, through a connection that cannot write. */
async function preview(manifest: object, flags: Partial<DeployFlags> = {}) {
  const readOnly = connect({ url: `${store.url}?options=-c%20default_transaction_read_only%3Don`, poolSize: 4 });
  try {
    const db = readOnly.db;
    const deployment = (await findDeployment(db, 'dep')) ?? { id: 0, name: 'dep', teams: [], manifest: null, manifestText: null, tags: {} };
    const caller = { ...callerWithoutTask(new AbortController().signal), scope: 'test', checkpoint: async () => undefined };
    const request = requestOf({ recreate: false, recreatePersistentDisks: false, fix: false, dryRun: false, forceLatestVariables: false, ...flags });
    return viewPlan(await previewDeploy(caller, { ...scene.deps, db }, { deployment, manifest: parseManifestYaml(stringify(manifest)), configIds: await currentConfigIds(db, deployment), request }));
  } finally {
    await readOnly.close();
  }
}

/** What the preview promises, in the words of `done`. */
function promised(view: View): string[] {
  return view.groups.flatMap((one) => one.instances).flatMap(({ uuid, group: name, index, az, outcome, changes, addresses }) => {
    if (outcome === 'none' || outcome === 'ignored') return [];
    const action = outcome === 'create' && uuid !== undefined ? 'update' : outcome;
    const held = addresses.filter((address) => address.fate !== 'released').map((address) => `${address.network} ${address.ip}`);
    return [[action, uuid === undefined ? name : `${name}/${uuid}`, ...(outcome === 'delete' ? [] : [index, az, ...changes.map((change) => change.kind), ...held])].join(' ')];
  }).toSorted();
}

/** What the audit trail and the records say a task did; new instances without their uuids. */
async function done(taskId: number, before: ReadonlySet<string>): Promise<string[]> {
  const { rows } = await store.connections.db.execute<{ action: string; object_name: string; changes: string[] | null; index: number | null; az: string | null; held: string[] | null }>(sql`
    SELECT e.action, e.object_name, i.last_changes AS changes, i.index, i.az,
      ARRAY(SELECT a.network_name || ' ' || split_part(a.address, '/', 1) FROM ip_addresses a WHERE a.instance_id = i.id ORDER BY a.address) AS held
    FROM events e LEFT JOIN instances i ON e.object_name = i.job || '/' || i.uuid WHERE e.task_id = ${taskId} AND e.object_type = 'instance' AND e.parent_id IS NULL`);
  return rows.map(({ action, object_name: name, changes, index, az, held }) =>
    [action, before.has(name) ? name : name.split('/')[0], ...(action === 'delete' ? [] : [index, az, ...(changes ?? []), ...(held ?? [])])].join(' ')).toSorted();
}

async function instanceNames(): Promise<Set<string>> {
  const { rows } = await store.connections.db.execute<{ name: string }>(sql`SELECT job || '/' || uuid AS name FROM instances`);
  return new Set(rows.map((row) => row.name));
}

async function compiledCount(): Promise<number> {
  const { rows } = await store.connections.db.execute<{ count: number }>(sql`SELECT count(*) AS count FROM compiled_packages`);
  return rows[0]?.count ?? 0;
}

describe('a preview', () => {
  it('tells what the deploy then does, over a long series of changes', { timeout: 240_000 }, async () => {
    const anyStep = fc.tuple(fc.constantFrom(...Object.keys(steps)), fc.nat(3), fc.nat(9));
    const [series = []] = fc.sample(fc.array(anyStep, { minLength: 10, maxLength: 10 }), { numRuns: 1, seed: 20_261_130 });
    let world: World = { groups: [group('web', 3), group('app')], stemcell: '1.1', release: '1.0.0' };
    const outcomes = new Set<string>();
    for (const [kind, at, value] of [['nothing', 0, 0] as const, ...Object.keys(steps).map((name, i) => [name, i % 2, i] as const), ...series]) {
      const step = steps[kind]?.(at, value);
      if (!step) continue;
      world = step.change(world);
      const [names, compiled] = [await instanceNames(), await compiledCount()];
      const view = await preview(manifestOf(world), step.flags);
      const { error, taskId } = await scene.deploy(manifestOf(world), step.flags);
      expect({ step: step.what, error, did: await done(taskId, names), compiled: (await compiledCount()) - compiled }).toEqual({ step: step.what, error: undefined, did: promised(view), compiled: view.packages.length });
      for (const one of view.groups.flatMap(({ instances }) => instances)) outcomes.add(one.outcome);
    }
    expect([...outcomes].toSorted()).toEqual(['create', 'delete', 'none', 'recreate', 'update']);
  });

  it('says why, without values', async () => {
    const world: World = { groups: [group('web', 1), group('app', 1)], stemcell: '1.1', release: '1.0.0' };
    await scene.deploy(manifestOf(world));
    const view = await preview(manifestOf({ ...inGroup(1, () => ({ property: 4711 }))(world), stemcell: '1.2' }));
    const [app] = view.groups[1]?.instances ?? [];
    expect(app?.changes).toEqual([{ kind: 'stemcell', reasons: ['stemcell 1.1 → 1.2'] }, { kind: 'packages', reasons: expect.any(Array) }, { kind: 'configuration', reasons: ['templates of job client (property greeting)'] }]);
    expect(JSON.stringify(view)).not.toContain('4711');
  });
});

describe('the number of queries', () => {
  /** Statements that a deploy sends to the database. */
  async function queriesOf(manifest: object): Promise<number> {
    let count = 0;
    const pool = store.connections.pool;
    const counted = new WeakSet<object>();
    const hook = (client: PoolClient) => {
      if (counted.has(client)) return;
      counted.add(client);
      const query = client.query.bind(client);
      client.query = ((...args: Parameters<typeof query>) => {
        count++;
        return query(...args);
      }) as typeof client.query;
    };
    pool.on('acquire', hook);
    const { error } = await scene.deploy(manifest).finally(() => pool.off('acquire', hook));
    expect(error).toBeUndefined();
    return count;
  }

  it('does not grow with instances that stay as they are, and by a small constant with those that change', { timeout: 240_000 }, async () => {
    const sizes = [10, 60];
    const counts: { unchanged: number; updated: number }[] = [];
    for (const instances of sizes) {
      const world = (property: number): World => ({ groups: [{ ...group('many', instances), property }], stemcell: '1.1', release: '1.0.0' });
      const name = `count-${instances}`;
      await scene.deploy(manifestOf(world(1), name));
      const unchanged = await queriesOf(manifestOf(world(1), name));
      counts.push({ unchanged, updated: await queriesOf(manifestOf(world(2), name)) });
    }
    const [few, many] = counts;
    expect(few?.unchanged).toBeGreaterThan(10);
    expect(many?.unchanged).toBe(few?.unchanged);
    expect(((many?.updated ?? 0) - (few?.updated ?? 0)) / 50).toBeLessThanOrEqual(queriesPerUpdate);
  });
});

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { eq } from 'drizzle-orm';
import * as t from '../../db/schema';
import { deleteDeployment } from '../../server/deploy/delete-deployment';
import { listAbandonedVms } from '../../server/deploy/store';
import { testStore, type TestStore } from '../support/director-parts';
import { startSwapScene, swapManifest, whatIsKnown, type SwapScene } from '../support/swap-scene';
import { testTask, type Fate } from '../support/task-context';

/** `create-swap-delete` on a real database: whole deploys of bare VMs, which die wherever they can. */

let store: TestStore;
let scene: SwapScene;

beforeAll(async () => {
  store = await testStore();
});
beforeEach(async () => {
  scene = await startSwapScene(store);
});
afterAll(() => store.close());

const task = () => testTask(store.connections.db);

async function deployed(manifest: string): Promise<string> {
  expect(await scene.attempt(task(), manifest)).toMatchObject({ error: undefined, result: 'done' });
  return (await whatIsKnown(store)).active[0]?.cid ?? '';
}

const agentOf = (cid: string) => cid.replace('vm-', '');
const stages = (events: Record<string, unknown>[]) => [...new Set(events.flatMap((event) => (typeof event.stage === 'string' ? [event.stage] : [])))];

describe('a VM that is swapped', () => {
  it('is replaced by one that was made beside it, at another address, and is orphaned with its own', async () => {
    const old = await deployed(swapManifest('1.1'));
    const second = task();
    scene.calls.splice(0);
    await scene.attempt(second, swapManifest('1.2'));
    const known = await whatIsKnown(store);
    expect(stages(second.events())).toEqual(['Preparing deployment', 'Preparing package compilation', 'Creating missing vms', 'Downloading packages', 'Updating instance']);
    expect(known).toMatchObject({ active: [{ ips: ['10.0.1.12/32'] }], spare: [], orphaned: [{ cid: old, ips: ['10.0.1.11/32'] }], addresses: { '10.0.1.11/32': 'orphan', '10.0.1.12/32': 'instance' } });
    const fresh = agentOf(known.active[0]?.cid ?? '');
    expect(scene.calls.filter((call) => /prepare|stop|shutdown|start/.test(call))).toEqual([`prepare ${fresh}`, `stop ${agentOf(old)}`, `shutdown ${agentOf(old)}`, `start ${fresh}`]);
    await scene.cleanUp();
    expect([[...scene.vms], (await whatIsKnown(store)).addresses]).toEqual([[known.active[0]?.cid], { '10.0.1.12/32': 'instance' }]);
  });

  it('stays where only settings of its network change', async () => {
    const old = await deployed(swapManifest('1.1'));
    await store.connections.db.update(t.configs).set({ content: (await store.connections.db.select().from(t.configs))[0]?.content.replace('dns: [10.0.1.2]', 'dns: [10.0.1.3]') ?? '' });
    const fresh = await deployed(swapManifest('1.1'));
    expect([fresh === old, [...scene.vms], (await whatIsKnown(store)).addresses]).toEqual([false, [fresh], { '10.0.1.11/32': 'instance' }]);
  });

  it('is deleted at once when its agent does not answer', async () => {
    const old = await deployed(swapManifest('1.1'));
    scene.silent.add(agentOf(old));
    expect(await scene.attempt(task(), swapManifest('1.1'), { request: { fix: true } })).toMatchObject({ error: undefined });
    expect(await whatIsKnown(store)).toMatchObject({ active: [{ ips: ['10.0.1.12/32'] }], orphaned: [], addresses: { '10.0.1.12/32': 'instance' } });
  });
});

describe('a VM that a deploy left beside another one', () => {
  /** A deploy of 1.2 that fails after it has made the VM. */
  async function left(): Promise<{ old: string; spare: string }> {
    const old = await deployed(swapManifest('1.1'));
    const failing = task();
    const dieAt = await firstPointWith(async () => (await whatIsKnown(store)).spare.length > 0, swapManifest('1.2'));
    expect(dieAt).toBeGreaterThan(0);
    failing.cancel();
    return { old, spare: (await whatIsKnown(store)).spare[0] ?? '' };
  }

  it('is used by the next one that wants such a VM', async () => {
    const { spare } = await left();
    expect(await deployed(swapManifest('1.2'))).toBe(spare);
  });

  it('is orphaned by one that wants another', async () => {
    const { old, spare } = await left();
    const fresh = await deployed(swapManifest('1.3'));
    expect([fresh === spare, fresh === old, (await whatIsKnown(store)).orphaned.map(({ cid }) => cid).sort()]).toEqual([false, false, [old, spare].sort()]);
  });

  it('is orphaned by one that wants none', async () => {
    const { old, spare } = await left();
    expect(await deployed(swapManifest('1.1'))).toBe(old);
    expect(await whatIsKnown(store)).toMatchObject({ spare: [], orphaned: [{ cid: spare }], addresses: { '10.0.1.11/32': 'instance', '10.0.1.12/32': 'orphan' } });
  });
});

/** Lets attempts die later and later until `reached`; the last one is left as it died. */
async function firstPointWith(reached: () => Promise<boolean>, manifest: string): Promise<number> {
  for (let dieAt = 10; dieAt < 400; dieAt += 3) {
    const { died } = await scene.attempt(task(), manifest, { fate: { dieAt, how: 'killed' } });
    if (!died) return 0;
    if (await reached()) return dieAt;
  }
  return 0;
}

describe('wherever a swap dies', () => {
  /** The swap dies at the point and is gone on with. Returns whether it died at all. */
  async function diesAt(fate: Fate, request = {}): Promise<boolean> {
    scene = await startSwapScene(store);
    const old = await deployed(swapManifest('1.1'));
    const swap = task();
    const manifest = request === recreation ? swapManifest('1.1') : swapManifest('1.2');
    const { died } = await scene.attempt(swap, manifest, { fate, request });
    if (!died) return false;
    const seen = await whatIsKnown(store);
    expect(seen.active.length + seen.spare.length, 'an instance has a VM').toBeGreaterThan(0);
    expect(await scene.attempt(swap, manifest, { request })).toMatchObject({ error: undefined, result: 'done' });
    const known = await whatIsKnown(store);
    expect(known.active, JSON.stringify(fate)).toHaveLength(1);
    expect([known.spare, known.active[0]?.ips.length, known.active[0]?.cid === old]).toEqual([[], 1, false]);
    expect(known.orphaned.map(({ cid }) => cid)).toContain(old);
    expect(Object.values(known.addresses).filter((who) => who === 'instance'), JSON.stringify([fate, known])).toHaveLength(1);
    const abandoned = (await listAbandonedVms(store.connections.db)).map((vm) => `vm-${vm.agentId}`);
    expect([...scene.vms].filter((cid) => ![known.active[0]?.cid, ...known.orphaned.map((one) => one.cid), ...abandoned].includes(cid)), 'no VM is unknown').toEqual([]);
    await scene.cleanUp();
    expect([...scene.vms].filter((cid) => !abandoned.includes(cid))).toEqual([known.active[0]?.cid]);
    return true;
  }

  const recreation = { recreate: true };

  it('no VM is lost, none is made twice for good, and no address is given twice', async () => {
    let deaths = 0;
    for (let dieAt = 20; await diesAt({ dieAt, how: 'killed' }); dieAt += 4) deaths++;
    expect(deaths).toBeGreaterThan(10);
  });

  it('the same when another node has taken the task over', async () => {
    for (let dieAt = 33; await diesAt({ dieAt, how: 'lost' }); dieAt += 14);
  });

  it('a recreation that was asked for is done once', async () => {
    for (let dieAt = 45; await diesAt({ dieAt, how: 'killed' }, recreation); dieAt += 14) {
      const [instance] = await store.connections.db.select().from(t.instances);
      expect(instance?.updateCompleted).toBe(true);
    }
  });
});

it('deleted instances of such groups leave their VMs to the clean-up', async () => {
  const cid = await deployed(swapManifest('1.1'));
  const remove = await task().attempt(async (ctx) => deleteDeployment(ctx, scene.deps(), { deployment: 'dep', force: false }).then(() => 'gone'));
  expect(remove).toMatchObject({ error: undefined, result: 'gone' });
  const [orphan] = await store.connections.db.select().from(t.orphanedVms).where(eq(t.orphanedVms.cid, cid));
  expect(orphan).toMatchObject({ deploymentName: 'dep', az: 'z1', instanceName: expect.stringMatching(/^web\//) });
  await scene.cleanUp();
  expect([scene.vms.size, (await whatIsKnown(store)).addresses]).toEqual([0, {}]);
});

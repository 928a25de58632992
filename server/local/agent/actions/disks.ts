import { cp, lstat, mkdir, readlink, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { AgentContext } from '../agent-context';
import { readArgument } from '../arguments';
import { readJsonFile, writeJsonFile } from '../files';
import { replaceLink } from '../install';
import type { Actions } from '../protocol';

/**
 * Persistent disks of the local cloud are directories; "mounted" means that `store` (or, for the second disk of a migration,
 * `store_migration_target`) is a link to one. Links outlive the agent and the VM's processes as mounts outlive an agent.
 */
const cidSchema = z.string().min(1);
const hintSchema = z.union([z.string(), z.looseObject({ path: z.string() })]);
const recordSchema = z.record(z.string(), z.unknown());

type Slot = 'store' | 'store_migration_target';
const slots: Slot[] = ['store', 'store_migration_target'];

export function diskActions(context: AgentContext): Actions {
  const hints = hintFile(join(context.base, 'bosh', 'persistent_disk_hints.json'));
  const dynamicHints = hintFile(join(context.base, 'bosh', 'dynamic_disk_hints.json'));
  const disks = diskMounts(context, hints);
  return {
    list_disk: {
      mode: 'async',
      asyncFromProtocol: 3,
      run: async () => {
        const known = await disks.paths();
        const mounted = await disks.mounted();
        return Object.entries(known).flatMap(([cid, path]) => (Object.values(mounted).includes(path) ? [cid] : []));
      },
    },
    add_persistent_disk: { mode: 'async', required: 2, run: async (call) => hints.add(readArgument(call, 0, cidSchema), readArgument(call, 1, hintSchema)) },
    remove_persistent_disk: { mode: 'async', required: 1, run: async (call) => hints.remove(readArgument(call, 0, cidSchema)) },
    add_dynamic_disk: { mode: 'async', required: 2, run: async (call) => dynamicHints.add(readArgument(call, 0, cidSchema), readArgument(call, 1, hintSchema)) },
    remove_dynamic_disk: { mode: 'sync', required: 1, run: async (call) => dynamicHints.remove(readArgument(call, 0, cidSchema)) },
    mount_disk: { mode: 'async', required: 1, run: async (call) => disks.mount(readArgument(call, 0, cidSchema)) },
    unmount_disk: { mode: 'async', required: 1, run: async (call) => disks.unmount(readArgument(call, 0, cidSchema)) },
    migrate_disk: { mode: 'async', run: () => disks.migrate() },
  };
}

interface DiskMounts {
  /** Directory of every disk that the VM has, by cid. */
  paths(): Promise<Record<string, string>>;
  mounted(): Promise<Partial<Record<Slot, string>>>;
  mount(cid: string): Promise<object>;
  unmount(cid: string): Promise<{ message: string }>;
  migrate(): Promise<object>;
}

function diskMounts(context: AgentContext, hints: HintFile): DiskMounts {
  const at = (slot: Slot) => join(context.base, slot);
  const paths = async () => {
    const boot = await context.settings.reload();
    return { ...toPaths(boot.disks.persistent), ...toPaths(await hints.all()) };
  };
  const mounted = async () => {
    const found: Partial<Record<Slot, string>> = {};
    for (const slot of slots) {
      const target = await linkTarget(at(slot));
      if (target !== undefined) found[slot] = target;
    }
    return found;
  };
  const pathOf = async (cid: string) => {
    const path = (await paths())[cid];
    if (path === undefined) throw new Error(`Persistent disk with volume id '${cid}' could not be found`);
    return path;
  };
  return {
    paths,
    mounted,
    mount: async (cid) => {
      const path = await pathOf(cid);
      if (!(await stat(path)).isDirectory()) throw new Error(`Disk '${cid}' has no directory at ${path}`);
      const now = await mounted();
      if (now.store === path || (now.store !== undefined && now.store_migration_target === path)) return {};
      const slot = now.store === undefined ? 'store' : 'store_migration_target';
      await setAside(at(slot));
      await replaceLink(at(slot), path);
      // Left there by a migration that did not come to its end.
      if (slot === 'store' && now.store_migration_target === path) await rm(at('store_migration_target'), { force: true });
      return {};
    },
    unmount: async (cid) => {
      const path = await pathOf(cid);
      const now = await mounted();
      const slot = slots.find((candidate) => now[candidate] === path);
      if (slot === undefined) return { message: `Partition of disk '${cid}' is not mounted` };
      await rm(at(slot), { force: true });
      return { message: `Unmounted partition of disk '${cid}'` };
    },
    migrate: async () => {
      const { store, store_migration_target: target } = await mounted();
      if (store === undefined || target === undefined) throw new Error('There are not two mounted disks to migrate between');
      await cp(store, target, { recursive: true, preserveTimestamps: true, verbatimSymlinks: true, force: true });
      await replaceLink(at('store'), target);
      await rm(at('store_migration_target'), { force: true });
      return {};
    },
  };
}

interface HintFile {
  all(): Promise<Record<string, unknown>>;
  add(cid: string, hint: unknown): Promise<object>;
  remove(cid: string): Promise<object>;
}

function hintFile(path: string): HintFile {
  const all = async () => (await readJsonFile(path, recordSchema)) ?? {};
  return {
    all,
    add: async (cid, hint) => {
      await writeJsonFile(path, { ...(await all()), [cid]: hint });
      return {};
    },
    remove: async (cid) => {
      await writeJsonFile(path, Object.fromEntries(Object.entries(await all()).filter(([known]) => known !== cid)));
      return {};
    },
  };
}

function toPaths(hints: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(hints).flatMap(([cid, hint]) => {
      const parsed = hintSchema.safeParse(hint).data;
      return parsed === undefined ? [] : [[cid, typeof parsed === 'string' ? parsed : parsed.path]];
    }),
  );
}

async function linkTarget(path: string): Promise<string | undefined> {
  const info = await lstat(path).catch(() => undefined);
  return info?.isSymbolicLink() === true ? absolute(path, await readlink(path)) : undefined;
}

function absolute(path: string, target: string): string {
  return target.startsWith('/') ? target : join(path, '..', target);
}

/** A directory with content where a disk is to be mounted is kept beside it, as a mount would hide it. */
async function setAside(path: string): Promise<void> {
  const info = await lstat(path).catch(() => undefined);
  if (info?.isDirectory() !== true) return;
  await mkdir(join(path, '..', 'data', 'shadowed'), { recursive: true });
  await rename(path, join(path, '..', 'data', 'shadowed', `store-${Date.now()}`));
}

import { join } from 'node:path';
import { readJsonFile, writeJsonFile } from './files';
import { bootSettingsSchema, mergeUpdate, updateSettingsSchema, type BootSettings, type UpdateSettings } from './settings';

/** The settings of a running agent: what the CPI wrote and what the director changed since. */
export interface SettingsStore {
  boot(): BootSettings;
  update(): UpdateSettings | undefined;
  /** Reads what the CPI wrote again, e.g. after it attached a disk. */
  reload(): Promise<BootSettings>;
  /** Stores an `update_settings`; true when the bus or the blobstore changed. */
  change(update: UpdateSettings): Promise<boolean>;
}

/** Opens the settings: the CPI's file, or the agent's copy when that cannot be read. */
export async function openSettings(base: string, sourcePath: string): Promise<SettingsStore> {
  const cachePath = join(base, 'bosh', 'settings.json');
  const updatePath = join(base, 'bosh', 'update_settings.json');
  const read = async (): Promise<BootSettings> => {
    const fresh = await readJsonFile(sourcePath, bootSettingsSchema);
    if (fresh !== undefined) {
      await writeJsonFile(cachePath, fresh);
      return fresh;
    }
    const cached = await readJsonFile(cachePath, bootSettingsSchema);
    if (cached === undefined) throw new Error(`There are no settings at ${sourcePath} and none from before`);
    return cached;
  };
  let boot = await read();
  let update = await readJsonFile(updatePath, updateSettingsSchema);
  return {
    boot: () => boot,
    update: () => update,
    reload: async () => {
      boot = await read();
      return boot;
    },
    change: async (next) => {
      const merged = mergeUpdate(update, next);
      const changed = !same(merged.mbus, update?.mbus) || !same(merged.blobstores, update?.blobstores);
      await writeJsonFile(updatePath, merged);
      update = merged;
      return changed;
    },
  };
}

function same(left: unknown, right: unknown): boolean {
  return JSON.stringify(left ?? null) === JSON.stringify(right ?? null);
}

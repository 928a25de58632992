import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { AgentContext } from '../agent-context';
import { readArgument } from '../arguments';
import type { AsyncTasks } from '../async-tasks';
import { readJsonFile, writeFileAtomic, writeJsonFile } from '../files';
import type { Actions } from '../protocol';
import { updateSettingsSchema } from '../settings';

const pendingSchema = z.object({ tasks: z.array(z.string()) });
const pendingPath = (base: string) => join(base, 'bosh', 'tasks.json');

/**
 * `update_settings`: stores what the director sends and connects anew when the bus changed. The stock agent exits to do so and is
 * started again; this one connects with the new settings while it still serves the old connection, and then answers `ok`.
 * The task's id is on disk meanwhile: an agent that died in between booted with what had been stored, and answers `ok` for it.
 */
export function settingsActions(context: AgentContext): Actions {
  return {
    update_settings: {
      mode: 'async',
      required: 1,
      run: async (call) => {
        const update = readArgument(call, 0, updateSettingsSchema);
        await context.settings.reload();
        await writeFileAtomic(join(context.base, 'bosh', 'trusted_certs.pem'), update.trusted_certs);
        await writeJsonFile(pendingPath(context.base), { tasks: call.taskId === undefined ? [] : [call.taskId] });
        const changed = await context.settings.change(update);
        if (changed) await context.reconnect();
        await rm(pendingPath(context.base), { force: true });
        return 'ok';
      },
    },
  };
}

/** Ends the `update_settings` tasks that a predecessor of this agent left. */
export async function restoreSettingsTasks(base: string, tasks: AsyncTasks): Promise<void> {
  const pending = await readJsonFile(pendingPath(base), pendingSchema);
  for (const id of pending?.tasks ?? []) tasks.restore(id, 'ok');
  await rm(pendingPath(base), { force: true });
}

import { setTimeout as wait } from 'node:timers/promises';
import { enqueueTask } from '../../server/tasks/queue';
import type { Figure } from './figures';
import { allReady, query, until, type Site } from './site';

/** Enqueue → running, one short task at a time on idle nodes. */
export async function measureEnqueue(site: Site, count: number): Promise<Figure[]> {
  await allReady(site);
  site.say(`${count} short tasks, one at a time`);
  const seen: number[] = [];
  const recorded: number[] = [];
  for (let i = 0; i < count; i++) {
    const since = performance.now();
    const { id } = await enqueueTask(site.connections.db, { type: 'vms', lane: 'urgent', description: 'bench', user: 'bench', payload: { deployment: 'bench-none', view: 'vms' } });
    await until(`task ${id} to start`, async () => (await query(site, `SELECT 1 FROM tasks WHERE id = $1 AND state <> 'queued'`, [id]))[0], { everyMs: 0 });
    seen.push(performance.now() - since);
    const [times] = await until(`task ${id} to end`, async () => {
      const rows = await query<{ ms: number }>(site, 'SELECT extract(epoch FROM started_at - created_at)::float8 * 1000 AS ms FROM tasks WHERE id = $1 AND finished_at IS NOT NULL', [id]);
      return rows.length > 0 ? rows : undefined;
    });
    if (times) recorded.push(times.ms);
    await wait(20 + Math.random() * 60);
  }
  return [
    { what: 'enqueue → task running, as recorded', unit: 'ms', samples: recorded, note: 'created_at to started_at' },
    { what: 'enqueue → task running, as a client sees it', unit: 'ms', samples: seen, note: 'with the enqueueing transaction' },
  ];
}

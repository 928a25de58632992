import type { Component } from '../cluster/component';
import type { Heart } from '../cluster/heart';
import { timing } from '../cluster/timing';
import type { Database } from '../../db/client';
import { findStartEvent, recordEndEvent } from '../events/store';
import { failUnownedTask, findLostTasks, forgetOldRequests, takeLostTask } from './queue';

export interface ReaperDeps {
  db: Database;
  heart: Heart;
  onNodeLoss: (type: string) => 'converge' | 'fail';
  /** Told of every task that was taken from a lost node. */
  onTakeover?: (type: string) => void;
}

/**
 * Component: frees tasks whose node is lost. Tasks that converge are claimed again under the same id; those that must not
 * run twice end in `error` naming the node.
 * It waits for a whole lease of unbroken contact first: after an outage of the database every owner gets its chance to renew.
 */
export function createReaper(deps: ReaperDeps): Component {
  let rounds = 0;
  return {
    name: 'reaper',
    intervalMs: timing.reapMs,
    async tick(ctx) {
      if (deps.heart.contactMs() < timing.taskLeaseMs) return;
      for (const lost of await findLostTasks(deps.db)) {
        const taken = await ctx.write(async (tx) => {
          if (!(await takeLostTask(tx, lost))) return false;
          if (deps.onNodeLoss(lost.type) === 'fail') {
            const error = `Director node ${lost.nodeName} was lost while it ran the task, which must not run twice`;
            await failUnownedTask(tx, lost.id, error);
            const start = await findStartEvent(tx, lost.id);
            if (start) await recordEndEvent(tx, start, { error });
          }
          return true;
        });
        if (!taken) continue;
        deps.onTakeover?.(lost.type);
        ctx.log.warn('task-taken', { task: lost.id, from: lost.nodeName, epoch: lost.epoch });
      }
      if (++rounds % 240 === 0) await forgetOldRequests(deps.db);
    },
  };
}

import type { ComponentContext } from '../cluster/component';
import { slotBegin, type Vitals } from './vitals';
import { writeVitals } from './vitals-store';

/** Rows of one statement. */
const batchRows = 2_000;
/** The running slot is written so often, so that charts are never far behind, ms. */
const runningEveryMs = 60_000;

/** What is left of the writing of one holder of the lease. */
export interface VitalsWriter {
  /** Writes what is due; `now` is epoch ms by the database's clock. Repeating it changes nothing. */
  write(ctx: ComponentContext, now: number): Promise<void>;
}

export function createVitalsWriter(vitals: Vitals): VitalsWriter {
  let runningAt = Number.NEGATIVE_INFINITY;
  return {
    async write(ctx, now) {
      const running = slotBegin(now);
      const runningIsDue = now - runningAt >= runningEveryMs || now < runningAt;
      for (const slotAt of vitals.slots()) {
        if (slotAt >= running && !runningIsDue) continue;
        const means = vitals.means(slotAt);
        for (let at = 0; at < means.length; at += batchRows) {
          await ctx.write((tx) => writeVitals(tx, slotAt, means.slice(at, at + batchRows)));
          ctx.progress();
        }
        if (slotAt < running) vitals.drop(slotAt);
      }
      if (runningIsDue) runningAt = now;
    },
  };
}

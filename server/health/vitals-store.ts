import { sql } from 'drizzle-orm';
import type { Tx } from '../../db/client';
import { slotIndex, type VitalsMean } from './vitals';

/** Writes means of one slot (its begin: epoch s) into the ring; of two writers the one who has heard more wins. */
export async function writeVitals(tx: Tx, slotAt: number, means: readonly VitalsMean[]): Promise<void> {
  await tx.execute(sql`
    INSERT INTO instance_vitals AS v (instance_id, slot, at, samples, "values")
    SELECT i.id, ${slotIndex(slotAt)}::smallint, to_timestamp(${slotAt}::float8), c.samples, c.means::real[]
    FROM unnest(${sql.param(means.map((mean) => mean.instanceId))}::int[], ${sql.param(means.map((mean) => mean.samples))}::int[], ${sql.param(means.map((mean) => `{${mean.values.join(',')}}`))}::text[])
      AS c(instance_id, samples, means) JOIN instances i ON i.id = c.instance_id
    ORDER BY i.id
    ON CONFLICT (instance_id, slot) DO UPDATE SET at = excluded.at, samples = excluded.samples, "values" = excluded."values"
    WHERE v.at <> excluded.at OR v.samples < excluded.samples`);
}

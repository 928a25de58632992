import type { Pool } from 'pg';
import type { SwarmAgent } from '../../server/local/simulator/swarm';

export interface FleetOptions {
  /** Made when it is not there. */
  deployment: string;
  count: number;
  /** Instance groups among which the instances are dealt out; default 10. */
  groups?: number;
  /** Stemcell API version of the VMs; default none. */
  stemcellApiVersion?: number;
}

/** Records instances with running VMs, one address each, and returns their agents; one transaction. */
export async function insertFleet(pool: Pool, { deployment, count, groups = 10, stemcellApiVersion }: FleetOptions): Promise<SwarmAgent[]> {
  const { rows } = await pool.query<{ id: string; job: string; index: number; instance: string }>(
    `WITH d AS (
       INSERT INTO deployments (name, canonical_name) VALUES ($1, $1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id
     ), made AS (
       INSERT INTO instances (uuid, deployment_id, job, index, az, state)
       SELECT gen_random_uuid(), d.id, 'group-' || n % $3, n / $3, 'z' || n % 3 + 1, 'started' FROM d, generate_series(0, $2 - 1) n
       RETURNING id, uuid, job, index, az
     ), booted AS (
       INSERT INTO vms (instance_id, agent_id, cid, state, active, az, stemcell_api_version, networks)
       SELECT id, gen_random_uuid(), 'vm-' || id, 'created', true, az, $4,
         jsonb_build_object('default', jsonb_build_object('type', 'manual', 'ip', '10.' || id / 65536 || '.' || id / 256 % 256 || '.' || id % 256, 'prefix', '32'))
       FROM made RETURNING agent_id, instance_id
     )
     SELECT b.agent_id AS id, m.job, m.index, m.uuid AS instance FROM booted b JOIN made m ON m.id = b.instance_id ORDER BY m.id`,
    [deployment, count, groups, stemcellApiVersion ?? null],
  );
  return rows.map(({ instance, ...row }) => ({ ...row, deployment, instanceId: instance }));
}

/** Takes VMs away as `delete_vm` does; their instances stay. */
export async function deleteVms(pool: Pool, agents: readonly SwarmAgent[]): Promise<void> {
  await pool.query('DELETE FROM vms WHERE agent_id = ANY($1::uuid[])', [agents.map((agent) => agent.id)]);
}

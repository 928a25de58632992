import { sql } from 'drizzle-orm';
import type { Tx } from '../../db/client';

/**
 * A VM in the cloud is nobody's from here on: the next clean-up deletes it, and until then nobody else gets its addresses. The instance
 * is as one without that VM. Nothing happens for a VM that is not recorded any more, so this may be repeated.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/steps/orphan_vm_step.rb.
 */
export async function orphanVm(tx: Tx, vmId: number, owner: { deployment: string; instance: string }): Promise<void> {
  await tx.execute(sql`
    WITH orphaned AS (
      INSERT INTO orphaned_vms (cid, agent_id, cpi, az, deployment_name, instance_name, stemcell_api_version)
        SELECT v.cid, v.agent_id, v.cpi, v.az, ${owner.deployment}, ${owner.instance}, v.stemcell_api_version FROM vms v WHERE v.id = ${vmId} AND v.cid IS NOT NULL
        RETURNING id)
    UPDATE ip_addresses a SET orphaned_vm_id = orphaned.id, vm_id = NULL, instance_id = NULL FROM orphaned WHERE a.vm_id = ${vmId}`);
  await tx.execute(sql`DELETE FROM vms WHERE id = ${vmId} AND cid IS NOT NULL`);
}

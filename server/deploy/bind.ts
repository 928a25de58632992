import type { Tx } from '../../db/client';
import { code, DirectorError } from '../core/errors';
import { recordLinks, type LinksToRecord } from '../deployments/links-store';
import { giveDnsIds } from '../dns/ids-store';
import type { Plan } from '../plan/types';
import type { TaskContext } from '../tasks/context';
import { createInstances, keepReleaseVersions, keepStemcells, linkArtifacts, reserveAddresses, updateInstance } from './store';

/** Another deploy was quicker with an address: read the state again and plan anew. */
export class AddressTaken extends Error {
  readonly addresses: readonly string[];
  constructor(addresses: readonly string[]) {
    super(`addresses taken meanwhile: ${addresses.join(', ')}`);
    this.name = 'AddressTaken';
    this.addresses = addresses;
  }
}

/**
 * Records what the plan decided before anything is done: new instances, identities that moved, addresses, DNS ids, links, and the use of
 * releases and stemcells. All or nothing. Returns uuid → row of the new instances. Throws AddressTaken, and 30006 or 50003
 * when a release or stemcell has been deleted since planning began.
 */
export async function bindPlan(ctx: TaskContext, plan: Plan, { deploymentId, variableSetId }: { deploymentId: number; variableSetId: number | undefined }): Promise<Map<string, number>> {
  const all = plan.groups.flatMap((group) => group.instances);
  return ctx.write(async (tx) => {
    const ids = await createInstances(tx, all.filter((instance) => instance.isNew).map(({ id, uuid, group, index, az, bootstrap, dns }) => ({ id, uuid, deploymentId, job: group, index, az, bootstrap, dns, variableSetId })));
    for (const { existing, group, index, az, bootstrap } of all) {
      if (existing && (existing.group !== group || existing.index !== index || existing.az !== az || existing.bootstrap !== bootstrap)) await updateInstance(tx, existing.id, { job: group, index, az, bootstrap });
    }
    const wishes = all.flatMap((instance) => instance.reservations.make.map(({ address, network, static: isStatic, nicGroup }) => ({ address, networkName: network, static: isStatic, nicGroup, instanceId: instance.existing?.id ?? ids.get(instance.uuid) ?? 0 })));
    const taken = await reserveAddresses(tx, wishes, ctx.taskId);
    if (taken.length > 0) throw new AddressTaken(taken);
    await bindArtifacts(tx, plan, deploymentId);
    await giveDnsIds(tx, plan.dns.names);
    await recordLinks(tx, deploymentId, linksToRecord(plan));
    return ids;
  });
}

async function bindArtifacts(tx: Tx, { releases, stemcells }: Plan, deploymentId: number): Promise<void> {
  const use = { releaseVersionIds: releases.map((release) => release.id), stemcellIds: stemcells.flatMap((stemcell) => stemcell.images.map((image) => image.id)) };
  const versions = await keepReleaseVersions(tx, use.releaseVersionIds);
  const release = releases.find(({ id }) => !versions.has(id));
  if (release) throw new DirectorError(code.releaseVersionNotFound, `Release version '${release.name}/${release.version}' doesn't exist: it was deleted while the deployment was being planned`);
  const images = await keepStemcells(tx, use.stemcellIds);
  const stemcell = stemcells.find((one) => one.images.some(({ id }) => !images.has(id)));
  if (stemcell) throw new DirectorError(code.stemcellNotFound, `Stemcell '${stemcell.name}/${stemcell.version}' doesn't exist: it was deleted while the deployment was being planned`);
  await linkArtifacts(tx, deploymentId, use);
}

/** Links without what only planning needs. */
function linksToRecord({ links, groups }: Plan): LinksToRecord {
  return {
    moved: groups.flatMap((group) => group.migratedFrom.map((from) => ({ from, to: group.name }))),
    providers: links.providers.map(({ custom, properties, aliases, content, ...provider }) => ({ ...provider, content, metadata: { mapped_properties: properties, custom, dns_aliases: aliases ?? null } })),
    consumers: links.consumers.map(({ explicit, network, ipAddresses, fromDeployment, manual, link, ...consumer }) => ({
      ...consumer, link,
      metadata: {
        explicit_link: explicit, ...(manual ? { manual_link: true } : {}), ...(network === undefined ? {} : { network }), ...(ipAddresses === undefined ? {} : { ip_addresses: ipAddresses }),
        ...(fromDeployment === undefined ? {} : { from_deployment: fromDeployment }),
      },
    })),
  };
}

import { sameValue } from '../core/compare';
import type { TaskContext } from '../tasks/context';
import { releaseAddresses, updateRenderInputs, updateSpecs } from './store';
import { recordedSpec, type InstanceUpdate } from './update-instance';

/** An instance that the plan leaves as it is. */
export type Unchanged = Pick<InstanceUpdate, 'plan' | 'instance' | 'instanceId' | 'rendered'>;

/**
 * Records of instances that the plan leaves as they are: their specs may still have gained facts that change nothing, and their
 * templates other inputs with the same content, which need not be rendered again next time. Nothing is written when nothing differs,
 * and as few statements for many as for one.
 */
export async function recordUnchanged(ctx: TaskContext, instances: readonly Unchanged[]): Promise<void> {
  const inputs = instances.flatMap(({ rendered }) => {
    const { archive, hashes, inputKey, reused } = rendered;
    if (reused || archive === undefined || archive.contentSha1 !== hashes.configurationHash) return [];
    return [{ archiveId: archive.id, inputKey, templateHashes: hashes.templateHashes }];
  });
  const specs = instances.flatMap((one) => {
    const spec = recordedSpec(one, one.instance.existing?.spec?.rendered_templates_archive);
    return sameValue(one.instance.existing?.spec, spec) ? [] : [{ instanceId: one.instanceId, spec: { ...spec } }];
  });
  const released = instances.filter(({ instance }) => instance.reservations.release.length > 0);
  if (inputs.length === 0 && specs.length === 0 && released.length === 0) return;
  await ctx.write(async (tx) => {
    await updateRenderInputs(tx, inputs);
    await updateSpecs(tx, specs);
    for (const { instance, instanceId } of released) await releaseAddresses(tx, instanceId, instance.reservations.release.map((reservation) => reservation.address));
  });
}

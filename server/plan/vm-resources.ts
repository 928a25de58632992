import { mergeCloudConfigs, parseAzs } from '../configs/parse';
import { sameValue } from '../core/compare';
import type { Hash } from '../core/yaml';
import type { VmResources } from '../cpi/cpi';
import { parseManifest } from '../deployments/parse-manifest';
import { cpiOfAz } from './cpis';
import type { PlanInput } from './types';

/**
 * What a CPI makes of `vm_resources` is asked before planning, so that planning itself asks nobody.
 * Rule: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/vm_resources_cache.rb.
 */
export interface ResourcesOfCpi {
  cpi: string;
  resources: VmResources;
}

/** The answer of the CPI. */
export interface CalculatedResources extends ResourcesOfCpi {
  cloudProperties: Hash;
}

/** What the instance groups of a manifest need to have calculated, each once; the compilation asks when it makes a VM. Throws as `buildPlan` for documents that are wrong. */
export function neededResources(input: Pick<PlanInput, 'manifest' | 'cloudConfigs' | 'state'>): ResourcesOfCpi[] {
  // Documents are read again only where it matters: most deployments name VM types.
  if (!mentionsResources(input.manifest.instance_groups)) return [];
  const { groups } = parseManifest(input.manifest, {});
  const azs = parseAzs(mergeCloudConfigs(input.cloudConfigs));
  const wanted = groups.flatMap(({ vmResources: resources, azs: own }): ResourcesOfCpi[] => {
    // Planning tells what is wrong with an AZ that there is not.
    const known = (own ?? [null]).filter((az) => az === null || azs.some(({ name }) => name === az));
    return resources ? known.map((az) => ({ cpi: cpiOfAz(az, { azs, cpis: input.state.cpis }), resources })) : [];
  });
  return wanted.filter((one, i) => wanted.findIndex((other) => isSame(one, other)) === i);
}

function mentionsResources(groups: unknown): boolean {
  return Array.isArray(groups) && groups.some((group: unknown) => typeof group === 'object' && group !== null && 'vm_resources' in group);
}

/** The cloud properties that were calculated; throws when nobody asked for them. */
export function calculated(answers: readonly CalculatedResources[], wanted: ResourcesOfCpi): Hash {
  const found = answers.find((answer) => isSame(answer, wanted));
  if (!found) throw new Error(`the CPI '${wanted.cpi}' was not asked for ${JSON.stringify(wanted.resources)}`);
  return found.cloudProperties;
}

function isSame(one: ResourcesOfCpi, other: ResourcesOfCpi): boolean {
  return one.cpi === other.cpi && sameValue(one.resources, other.resources);
}

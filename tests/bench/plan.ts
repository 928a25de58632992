import { parseManifestYaml } from '../../server/core/yaml';
import { buildPlan } from '../../server/plan/build-plan';
import type { PlanInput, RecordedState } from '../../server/plan/types';
import { applied, completePlan, emptyState, planInput } from '../support/planning';
import type { Figure } from './figures';

/** Groups and instances of the deployment that is planned. */
export interface PlanSize {
  groups: number;
  perGroup: number;
  rounds: number;
}

/** Every second group provides a link that the next one consumes. */
function manifestOf({ groups, perGroup }: PlanSize): string {
  const group = (i: number) => ({
    name: `group-${i}`, instances: perGroup, azs: ['z1', 'z2', 'z3'], vm_type: 'small', stemcell: 'default', networks: [{ name: 'private' }],
    jobs: [
      { name: 'server', release: 'rel', properties: { port: 80 + i } },
      i % 2 === 0 ? { name: 'provider', release: 'rel', provides: { db: { as: `db-${i}` } } } : { name: 'consumer', release: 'rel', consumes: { db: { from: `db-${i - 1}` } } },
    ],
  });
  return JSON.stringify({
    name: 'dep', releases: [{ name: 'rel', version: 'latest' }], stemcells: [{ alias: 'default', os: 'ubuntu', version: 'latest' }],
    update: { canaries: 1, max_in_flight: 2, canary_watch_time: 1000, update_watch_time: 1000 }, instance_groups: Array.from({ length: groups }, (_, i) => group(i)),
  });
}

const cloud = JSON.stringify({
  azs: ['z1', 'z2', 'z3'].map((name) => ({ name })), vm_types: [{ name: 'small' }],
  networks: [{ name: 'private', subnets: [1, 2, 3].map((i) => ({ range: `10.${i}.0.0/16`, gateway: `10.${i}.0.1`, az: `z${i}` })) }],
  compilation: { workers: 2, az: 'z1', network: 'private', vm_type: 'small' },
});

function inputOf(manifest: string, state: RecordedState): PlanInput {
  return { ...planInput({ state }), manifest: parseManifestYaml(manifest), cloudConfigs: [parseManifestYaml(cloud)] };
}

/** Planning alone, in this process: of a deployment that is new, and of the same one unchanged. */
export function measurePlan(size: PlanSize): Figure[] {
  const manifest = manifestOf(size);
  const deployed = applied(completePlan({ manifest, cloud }), emptyState());
  const of = (state: RecordedState) =>
    Array.from({ length: size.rounds }, () => {
      const input = inputOf(manifest, state);
      const since = performance.now();
      const planned = buildPlan(input).groups.reduce((sum, group) => sum + group.instances.length, 0);
      if (planned !== size.groups * size.perGroup) throw new Error(`${planned} instances were planned`);
      return performance.now() - since;
    });
  const what = `${size.groups * size.perGroup} instances in ${size.groups} groups`;
  return [
    { what: `planning of ${what}, all new`, unit: 'ms', samples: of(emptyState()), note: 'two jobs each, links from group to group; no database' },
    { what: `planning of ${what}, unchanged`, unit: 'ms', samples: of(deployed), note: 'the same' },
  ];
}

import { expect, it } from 'vitest';
import { applied, completePlan, edit, emptyState, manifestYaml } from '../../tests/support/planning';
import { updateRuns, type GroupUpdate } from './order';

const text = ({ group, batches, deleteInFlight }: GroupUpdate) =>
  `${group.name}${group.obsolete.length > 0 ? ` (deletes ${deleteInFlight})` : ''}: ${batches.map((batch) => `${batch.canaries.map((one) => `${one.index}!`).join(' ')} ${batch.rest.map((one) => one.index).join(' ')} x${batch.maxInFlight}`.trim()).join(' | ')}`;

function order(manifest: string, state = emptyState()): string[][] {
  return updateRuns(completePlan({ manifest, state })).map((run) => run.map(text));
}

const six = edit(manifestYaml, ['instances: 3', 'instances: 6']);

it.each([
  ['AZ by AZ, canaries in the first', six, [['web: 0! 3 x2 | 1 4 x2 | 2 5 x2']]],
  ['percentages are of the AZ\'s batch', edit(six, ['canaries: 1', 'canaries: 50%'], ['max_in_flight: 2', 'max_in_flight: 50%']), [['web: 0! 3 x1 | 1 4 x1 | 2 5 x1']]],
  ['all AZs at once on a first deploy that says so', edit(six, ['update: {', 'update: {initial_deploy_az_update_strategy: parallel, ']), [['web: 0! 3 1 4 2 5 x2']]],
  ['more canaries than instances', edit(six, ['canaries: 1', 'canaries: 9']), [['web: 0! 3!  x2 | 1 4 x2 | 2 5 x2']]],
  ['no canaries', edit(six, ['canaries: 1', 'canaries: 0'], ['max_in_flight: 2', 'max_in_flight: 0']), [['web: 0 3 x1 | 1 4 x1 | 2 5 x1']]],
])('%s', (_title, manifest, expected) => {
  expect(order(manifest)).toEqual(expected);
});

it('a group may override the deployment\'s settings', () => {
  const manifest = edit(six, ['vm_type: small', 'vm_type: small\n  update: {canaries: 2, max_in_flight: 4}']);
  expect(order(manifest)).toEqual([['web: 0! 3!  x4 | 1 4 x4 | 2 5 x4']]);
});

it('neighbours that are not serial form one run', () => {
  const group = (name: string, serial: boolean) => `{name: ${name}, instances: 1, azs: [z1], vm_type: small, stemcell: default, networks: [{name: private}], jobs: [], update: {serial: ${serial}}}`;
  const manifest = edit(manifestYaml, [manifestYaml.slice(manifestYaml.indexOf('- name: web')), ['a', 'b', 'c', 'd', 'e'].map((name) => `- ${group(name, name === 'a' || name === 'd')}\n`).join('')]);
  expect(order(manifest).map((run) => run.map((one) => one.slice(0, 1)))).toEqual([['a'], ['b', 'c'], ['d'], ['e']]);
});

it('instances without changes are in no batch; deletions have their own limit', () => {
  const state = applied(completePlan({ manifest: six }), emptyState());
  const fewer = edit(manifestYaml, ['max_in_flight: 2', 'max_in_flight: 50%'], ['instances: 3', 'instances: 2']);
  expect(order(fewer, state)).toEqual([['web (deletes 2): ']]);
});

import { expect, it } from 'vitest';
import type { PlannedInstance } from '../../_ui/api';
import { outcomeCounts, sharedReasons, summaryOf } from './looks';

const instance = (outcome: PlannedInstance['outcome'], reasons: string[] = [], uuid: string | undefined = 'u'): PlannedInstance => ({
  uuid, group: 'web', index: 0, bootstrap: false, outcome, changes: reasons.length > 0 ? [{ kind: 'stemcell', reasons }] : [], addresses: [], agentSilent: false, skipDrain: false,
});

it('a plan is summed up by what happens to how many instances', () => {
  expect(summaryOf([instance('none')])).toBe('change no instance');
  expect(summaryOf([instance('create'), instance('none')])).toBe('create 1 instance');
  expect(summaryOf([instance('create'), instance('delete'), instance('delete'), instance('update')])).toBe('delete 2, update 1 and create 1 instances');
  expect(outcomeCounts([instance('none'), instance('delete')])).toEqual([['delete', 1], ['none', 1]]);
});

it('reasons are told once, with the instances that share them; new instances need none', () => {
  const [first, ...others] = sharedReasons([instance('recreate', ['a']), instance('recreate', ['a', 'b']), { ...instance('create', ['c']), uuid: undefined }]);
  expect([first?.text, first?.instances.length, others.map((one) => one.text)]).toEqual(['a', 2, ['b']]);
});

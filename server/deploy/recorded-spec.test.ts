import { describe, expect, it } from 'vitest';
import { readRecordedCpi, readRecordedSpec } from './recorded-spec';

const network = { type: 'manual', ip: '10.0.0.2', prefix: '32', cloud_properties: {} };
const vm = { networks: { private: network }, stemcell: { name: 'jammy', version: '1' }, env: {} };
const applied = {
  ...vm, deployment: 'dep', job: null, index: 0, name: 'web', id: 'uuid', az: null, packages: {}, dns_domain_name: 'bosh', persistent_disk: 0,
  update: { canaries: 1, max_in_flight: 1, canary_watch_time: '1-2', update_watch_time: '1-2' },
};

describe('what is recorded of an instance', () => {
  it('is its VM, and what was applied to it if anything was', () => {
    expect(readRecordedSpec(vm, 'web/0').applied).toBeUndefined();
    expect(readRecordedSpec(applied, 'web/0').applied?.spec).toMatchObject({ name: 'web', packages: {} });
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['a job of another shape', { ...applied, job: { name: 'web' } }, "cannot be read by this version (job.templates, job.template, job.version): deploy first"],
    ['no update block', { ...applied, update: undefined }, 'cannot be read by this version (update): deploy first'],
    ['no VM', { packages: {} }, "Nothing is recorded of a VM of 'web/0'"],
  ])('is refused when it has %s, lest the VM come back without its jobs', (_, spec, problem) => {
    expect(() => readRecordedSpec(spec, 'web/0')).toThrow(problem);
  });
});

it.each([
  ['a named CPI', { stemcell: { name: 's', version: '1', cpi: 'east' } }, 'east'],
  ["the director's own CPI", { stemcell: { name: 's', version: '1' } }, ''],
  ['no VM', {}, undefined],
  ['nothing', null, undefined],
])('the CPI of an instance of which %s is recorded', (_what, spec, cpi) => {
  expect(readRecordedCpi(spec)).toBe(cpi);
});

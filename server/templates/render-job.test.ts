import { expect, test } from 'vitest';
import { encodeJob, jobKey, noDnsIds, type RenderJob, toJson } from './render-job';

const job: RenderJob = {
  jobName: 'nginx',
  context: {
    deployment: 'd', name: 'web', id: 'u', index: 0, bootstrap: true, az: null, job: {}, networks: {}, ip: null, address: null,
    dns_domain_name: 'bosh', properties: {}, links: {}, release: { name: 'r', version: '1' },
  },
  dns: noDnsIds,
  monit: 'm',
  templates: [{ src: 'a.erb', dest: 'a', text: 'x' }],
};
const keyOf = (changed: Partial<RenderJob>) => jobKey({ ...job, ...changed }, encodeJob({ ...job, ...changed }));

test('JSON keeps big integers and the order of maps, and leaves undefined out', () => {
  const value = { a: 10n ** 20n, m: new Map<unknown, unknown>([['10', 1], [9, [undefined, null, 'x"']]]), u: undefined, f: 1.5, n: Number.NaN };
  expect(toJson(value)).toBe('{"a":100000000000000000000,"m":{"10":1,"9":[null,null,"x\\""]},"f":1.5,"n":null}');
});

test('the key of a job changes with everything that decides its output', () => {
  const variants: Partial<RenderJob>[] = [
    {},
    { jobName: 'other' },
    { context: { ...job.context, index: 1 } },
    { dns: { ...noDnsIds, azs: { z1: 1 } } },
    { monit: 'n' },
    { templates: [] },
    { templates: [{ src: 'b.erb', dest: 'a', text: 'x' }] },
    { templates: [{ src: 'a.erb', dest: 'b', text: 'x' }] },
    { templates: [{ src: 'a.erb', dest: 'a', text: 'y' }] },
  ];
  expect(new Set(variants.map(keyOf)).size).toBe(variants.length);
  expect(keyOf({ monit: Buffer.from('m') })).toBe(keyOf({}));
});

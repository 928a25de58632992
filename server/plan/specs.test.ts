import { describe, expect, it } from 'vitest';
import seenFull from '../../tests/fixtures/plan/apply-spec.json';
import seenInitial from '../../tests/fixtures/plan/apply-spec-initial.json';
import { completePlan, emptyState } from '../../tests/support/planning';
import { addressableNetwork, applySpec, fullSpec, initialApplySpec, specOfNewVm, templateSpec } from './specs';
import type { ReleaseVersionRecord } from '../releases/release';

// The specs in tests/fixtures/plan were sent by the Ruby director for this manifest.

const cloud = `
azs: [{name: z2, cloud_properties: {zone: two}}]
vm_types: [{name: small, cloud_properties: {size: s}}]
networks:
- name: private
  subnets:
  - {range: 10.20.2.0/24, gateway: 10.20.2.1, dns: [10.20.2.2], az: z2, cloud_properties: {name: net-two}}
compilation: {workers: 1, az: z2, network: private, vm_type: small}
`;
const manifest = `
name: lab
releases: [{name: caplab, version: 1.0.0}]
stemcells: [{alias: default, os: lab-os, version: "1.1"}]
update: {canaries: 1, max_in_flight: 1, canary_watch_time: 1000-30000, update_watch_time: 1000-30000}
instance_groups:
- name: web
  instances: 1
  azs: [z2]
  vm_type: small
  stemcell: default
  networks: [{name: private}]
  jobs: [{name: web, release: caplab, properties: {greeting: hello}}, {name: check, release: caplab}]
`;

const [web, check] = seenFull.job.templates;
const job = (id: number, seen: typeof web, packages: string[], properties: object) => ({
  id, name: seen?.name ?? '', version: seen?.version ?? '', fingerprint: '', sha1: seen?.sha1 ?? '', blobstoreId: seen?.blobstore_id ?? '', packages, spec: { properties },
});
const pkg = (id: number, { name, version }: { name: string; version: string }, dependencies: string[]) => ({ id, name, version: version.replace(/\.1$/, ''), fingerprint: name, sha1: 'source', blobstoreId: 'source', dependencies });
const release: ReleaseVersionRecord = {
  id: 1, name: 'caplab', version: '1.0.0',
  jobs: [job(1, web, ['app', 'tool'], { greeting: {}, port: { default: 8080 } }), job(2, check, [], {})],
  packages: [pkg(1, seenFull.packages.app, ['tool']), pkg(2, seenFull.packages.tool, [])],
};

function labPlan() {
  const compiled = (packageId: number, seen: typeof seenFull.packages.app, dependencyKey: string) => ({ packageId, stemcellOs: 'lab-os', stemcellVersion: '1.1', dependencyKey, build: 1, blobstoreId: seen.blobstore_id, sha1: seen.sha1 });
  const empty = emptyState();
  const state = {
    ...empty, deployment: { ...empty.deployment, name: 'lab' }, releases: [release],
    stemcells: [{ id: 1, name: 'lab-stemcell', os: 'lab-os', version: '1.1', apiVersion: 3, cpi: '', cid: 'sc' }],
    compiledPackages: [compiled(2, seenFull.packages.tool, '[]'), compiled(1, seenFull.packages.app, JSON.stringify([['tool', release.packages[1]?.version]]))],
  };
  const plan = completePlan({ manifest, cloud, state });
  const [instance] = plan.groups[0]?.instances ?? [];
  if (!instance) throw new Error('no instance');
  const seen = { uuid: seenFull.id, index: seenFull.index, rendered: { templateHashes: seenFull.template_hashes, configurationHash: seenFull.configuration_hash } };
  return { plan, instance: { ...instance, ...seen } };
}

describe('specs', () => {
  const { plan, instance } = labPlan();

  it('for apply are what the Ruby director sends', () => {
    const spec = applySpec(instance, plan, seenFull.rendered_templates_archive);
    expect(spec).toEqual(seenFull);
    expect(Object.keys(spec)).toEqual(Object.keys(seenFull));
    expect(Object.keys(spec.networks.private ?? {})).toEqual(Object.keys(seenFull.networks.private));
  });

  it('for the first apply are what the Ruby director sends', () => {
    expect(initialApplySpec(instance, plan)).toEqual(seenInitial);
    expect(Object.keys(initialApplySpec(instance, plan))).toEqual(Object.keys(seenInitial));
  });

  it('for the records have the rest too', () => {
    expect(fullSpec(instance, plan, undefined)).toMatchObject({
      bootstrap: true, lifecycle: 'service', vm_type: { name: 'small', cloud_properties: { size: 's' } }, stemcell: { name: 'lab-stemcell', version: '1.1' }, env: {},
      properties: { web: { greeting: 'hello', port: 8080 }, check: {} }, address: '10.20.2.2',
      update: { canaries: '1', max_in_flight: '1', canary_watch_time: '1000-30000', update_watch_time: '1000-30000', serial: true, vm_strategy: 'delete-create' },
    });
    expect('rendered_templates_archive' in fullSpec(instance, plan, undefined)).toBe(false);
  });

  it('of a VM that has nothing on it say what it was made with', () => {
    expect(specOfNewVm(instance)).toEqual({ networks: instance.networks, vm_type: { name: 'small', cloud_properties: { size: 's' } }, stemcell: { name: 'lab-stemcell', version: '1.1' }, env: {} });
  });

  it('for templates show one job', () => {
    const [job] = instance.jobs;
    if (!job) throw new Error('no job');
    expect(templateSpec(instance, job, plan)).toEqual({
      deployment: 'lab', name: 'web', id: seenFull.id, index: 1, bootstrap: true, az: 'z2', job: seenFull.job,
      networks: { private: { ...seenFull.networks.private, dns_record_name: '1.web.private.lab.bosh' } },
      ip: '10.20.2.2', address: '10.20.2.2', dns_domain_name: 'bosh', persistent_disk: 0, properties_need_filtering: true,
      properties: { greeting: 'hello', port: 8080 }, links: {}, release: { name: 'caplab', version: '1.0.0' },
    });
  });
});

it('the address is that of the addressable network, else of the gateway', () => {
  const settings = (ip: string, defaults?: string[]) => ({ type: 'manual' as const, ip, prefix: '32', cloud_properties: {}, ...(defaults ? { default: defaults } : {}) });
  expect(addressableNetwork({ a: settings('1', ['dns', 'gateway']), b: settings('2', ['addressable']) })).toBe('b');
  expect(addressableNetwork({ a: settings('1'), b: settings('2', ['dns', 'gateway']) })).toBe('b');
  expect(addressableNetwork({})).toBeUndefined();
});

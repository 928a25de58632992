import { describe, expect, it } from 'vitest';
import { applied, cloudYaml, completePlan, edit, emptyState, manifestYaml, planInput } from '../../tests/support/planning';
import { noDnsIds } from '../dns/names';
import { buildPlan } from './build-plan';
import type { LinkProvider } from './link-intents';
import type { LinkFacts } from './links';
import { planVariables } from './variables';

const provider = (name: string, more: Partial<LinkProvider> = {}): LinkProvider => ({ group: 'web_tier', job: 'server', originalName: name, name, type: 'address', shared: false, consumable: true, custom: false, properties: {}, ...more });
const facts: LinkFacts = { naming: { deployment: 'dep', domain: 'bosh', localDns: true, useDnsAddresses: false, useShortDnsAddresses: false, useLinkDnsNames: false, ids: noDnsIds, instanceIds: new Map() }, groups: [{ name: 'web_tier', networks: ['private'], defaultNetwork: 'private', instances: [], dormant: false }], recorded: [] };
const plan = (consumes: { from: string; wildcard?: boolean }[], providers: LinkProvider[]) =>
  planVariables([{ name: 'cert', type: 'certificate', options: {}, strategy: 'on-deploy', consumes: consumes.map(({ from, wildcard = false }) => ({ as: 'alternative_name', from, linkType: 'address', wildcard })) }], { director: 'dir', providers, facts, converge: false });

describe('planned variables', () => {
  it('have absolute names, the manifest before runtime configs', () => {
    const manifest = edit(manifestYaml, ['tags:', 'variables: [{name: a, type: password}, {name: /b, type: rsa}]\ntags:']);
    const { variables } = buildPlan(planInput({ manifest, runtime: ['variables: [{name: c, type: ssh, update: {strategy: on-stemcell-change}}]'] }));
    expect(variables.map(({ name, strategy }) => `${name} ${strategy}`)).toEqual(['/directorate/dep/a on-deploy', '/b on-deploy', '/directorate/dep/c on-stemcell-change']);
    expect(() => buildPlan(planInput({ manifest, runtime: ['variables: [{name: a, type: ssh}]'] }))).toThrow(expect.objectContaining({ code: 190022, message: "Duplicate variable name 'a'" }));
  });

  it.each([
    { what: 'a name for all instances', consumes: [{ from: 'web' }], addresses: ['q-s0.web-tier.private.dep.bosh'] },
    { what: 'a wildcard', consumes: [{ from: 'web', wildcard: true }], addresses: ['*.web-tier.private.dep.bosh'] },
  ])('get $what from a consumed link', ({ consumes, addresses }) => {
    expect(plan(consumes, [provider('web'), provider('other'), provider('web', { type: 'sql' })])[0]?.addresses.map(({ address }) => address)).toEqual(addresses);
  });

  it.each([
    { what: 'nobody provides', providers: [provider('web', { consumable: false })], message: "  - Failed to resolve link 'alternative_name' with alias 'web' and type 'address' from variable 'cert'. Details below:\n    - No link providers found" },
    { what: 'several provide', providers: [provider('web'), provider('web', { job: 'second' })], message: "from variable 'cert'. Multiple link providers found:\n    - Link provider 'web' from job 'server' in instance group 'web_tier' in deployment 'dep'\n    - Link" },
  ])('cannot consume what $what', ({ providers, message }) => {
    expect(() => plan([{ from: 'web' }], providers)).toThrow(message);
  });
});

describe('values of variables', () => {
  const cloudWith = (value: string) => ({ cloud: edit(cloudYaml, ['size: s', `size: ((${value}))`]) });
  it('decide whether an instance changes, whatever their placeholders look like', () => {
    const state = applied(completePlan(cloudWith('/one')), emptyState());
    const next = (differences: Record<string, string[]>) => {
      const input = planInput({ ...cloudWith('/two'), state });
      return buildPlan({ ...input, differences: new Map(state.instances.map(({ uuid }) => [uuid, differences])) }).groups[0]?.instances.map(({ changes }) => changes.map(({ kind, reasons }) => `${kind}: ${reasons.join()}`));
    };
    expect(next({})).toEqual(Array.from({ length: 3 }, () => ['cloud_properties: cloud property size']));
    expect(next({ cloudProperties: [] })).toEqual([[], [], []]);
    expect(next({ cloudProperties: ['size'], networks: ['private.cloud_properties.name'] })?.[0]).toEqual(['cloud_properties: cloud property size', 'network: network setting private.cloud_properties.name']);
  });

  it('are not recorded with the manifest, versions are', () => {
    const input = planInput();
    const document = { ...input.manifest, tags: { team: '((secret))' }, releases: [{ name: 'rel', version: 'latest', url: '((url))' }] };
    expect(buildPlan({ ...input, document }).manifest).toMatchObject({ tags: { team: '((secret))' }, releases: [{ name: 'rel', version: '1.0', url: '((url))' }], stemcells: [{ alias: 'default', os: 'ubuntu', version: '1.200' }] });
  });
});

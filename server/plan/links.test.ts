import { describe, expect, it } from 'vitest';
import { applied, completePlan, edit, emptyState, manifestYaml, planInput, release, type World } from '../../tests/support/planning';
import type { Hash } from '../core/yaml';
import { buildPlan } from './build-plan';
import type { RecordedProvider } from './links';
import type { Plan, RecordedState } from './types';

/** A release with a database, a cache of the same link type under another name, and applications. */
function stateWithLinks(recorded: RecordedProvider[] = []): RecordedState {
  const [base] = [release('1.0')];
  const job = (id: number, name: string, spec: Hash) => ({ id, name, version: name, fingerprint: name, sha1: name, blobstoreId: `job-${name}`, spec: { name, ...spec }, packages: [] });
  const database = { properties: { port: { default: 5432 }, 'tls.ca': {}, secret: {} } };
  return {
    ...emptyState(), deployments: ['dep', 'other'], linkProviders: recorded,
    releases: [{
      ...base,
      jobs: [
        job(1, 'db', { ...database, provides: [{ name: 'db', type: 'sql', properties: ['port', 'tls.ca'] }] }),
        job(2, 'replica', { ...database, provides: [{ name: 'replica', type: 'sql' }] }),
        job(3, 'app', { consumes: [{ name: 'store', type: 'sql' }] }),
        job(4, 'optional-app', { consumes: [{ name: 'store', type: 'sql', optional: true }] }),
        job(5, 'broken', { ...database, provides: [{ name: 'broken', type: 'sql', properties: ['nowhere'] }] }),
        job(6, 'plain', {}),
        job(7, 'odd', { properties: { '__proto__.odd': { default: 1 } }, provides: [{ name: 'odd', type: 'odd', properties: ['__proto__.odd'] }] }),
      ],
    }],
  };
}

const groups = (...specs: string[]) =>
  edit(manifestYaml, [manifestYaml.slice(manifestYaml.indexOf('- name: web')), specs.join('')]);
const group = (name: string, jobs: string, options: { instances?: number; networks?: string } = {}) =>
  `- {name: ${name}, instances: ${options.instances ?? 1}, azs: [z1, z2], vm_type: small, stemcell: default, networks: [${options.networks ?? '{name: private}'}], jobs: [${jobs}]}\n`;
const job = (name: string, more = '') => `{name: ${name}, release: rel${more}}`;
const data = group('data', job('db', ', properties: {tls: {ca: CA}, secret: hush}'), { instances: 2 });

const planOf = (manifest: string, recorded: RecordedProvider[] = [], world: World = {}): Plan => buildPlan(planInput({ manifest, state: stateWithLinks(recorded), ...world }));
const linksOf = (plan: Plan, name: string) => plan.groups.find((one) => one.name === name)?.jobs[0]?.links ?? {};
const errorOf = (manifest: string, recorded: RecordedProvider[] = []): string => {
  try {
    planOf(manifest, recorded);
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return '';
};

describe('a link', () => {
  it('has properties of any name without an effect on anything else', () => {
    planOf(groups(group('web', job('odd'))));
    expect(Object.hasOwn(Object.prototype, 'odd')).toBe(false);
  });

  it('has the addresses of the provider, the properties that its release names, and nothing else', () => {
    const plan = planOf(groups(data, group('web', job('app'))));
    const [first, second] = plan.groups[0]?.instances ?? [];
    expect(linksOf(plan, 'web')).toEqual({
      store: {
        deployment_name: 'dep', domain: 'bosh', default_network: 'private', networks: ['private'], instance_group: 'data', group_name: 'db-sql',
        properties: { port: 5432, tls: { ca: 'CA' } }, use_short_dns_addresses: false, use_dns_addresses: false, use_link_dns_names: false,
        instances: [
          { name: 'data', id: first?.uuid, index: 0, bootstrap: true, az: 'z1', address: first?.address },
          { name: 'data', id: second?.uuid, index: 1, bootstrap: false, az: 'z2', address: second?.address },
        ],
      },
    });
  });

  it('has DNS names where the deployment wants them, or the director if the deployment says nothing; a consumer may want IPs', () => {
    const addresses = (features: string, director = {}, consumes = '') => {
      const state = stateWithLinks();
      const plan = planOf(`${groups(data, group('web', job('app', consumes)))}\n${features}`, [], { state: { ...state, director: { ...state.director, ...director } } });
      const [instance] = plan.groups[0]?.instances ?? [];
      const shown = JSON.stringify(linksOf(plan, 'web').store);
      const name = `${instance?.uuid}.data.private.dep.bosh`;
      const kindOf = (address: unknown) => (address === name ? 'name' : address === instance?.ip ? 'ip' : address);
      return { link: kindOf(/"address":"([^"]+)"/.exec(shown)?.[1]), spec: kindOf(instance?.address) };
    };
    const wanted = 'features: {use_dns_addresses: true}';
    expect(addresses(wanted)).toEqual({ link: 'name', spec: 'name' });
    expect(addresses('', { useDnsAddresses: true })).toEqual({ link: 'name', spec: 'name' });
    expect(addresses('features: {use_dns_addresses: false}', { useDnsAddresses: true })).toEqual({ link: 'ip', spec: 'ip' });
    expect(addresses('')).toEqual({ link: 'ip', spec: 'ip' });
    expect(addresses(wanted, { localDns: false })).toEqual({ link: 'ip', spec: 'ip' });
    expect(addresses(wanted, {}, ', consumes: {store: {from: db, ip_addresses: true}}')).toEqual({ link: 'ip', spec: 'name' });
    expect(addresses('', {}, ', consumes: {store: {from: db, ip_addresses: false}}')).toEqual({ link: 'name', spec: 'ip' });
  });

  it('is found by its type alone, and by its alias when the manifest names one', () => {
    const two = [group('data', job('db', ', provides: {db: {as: main}}')), group('copy', job('replica'))];
    expect(linksOf(planOf(groups(...two, group('web', job('app', ', consumes: {store: {from: main}}')))), 'web')).toMatchObject({ store: { instance_group: 'data' } });
    expect(linksOf(planOf(groups(...two, group('web', job('app', ', consumes: {store: {from: old.replica}}')))), 'web')).toMatchObject({ store: { instance_group: 'copy' } });
  });

  it('may stand in the manifest', () => {
    const plan = planOf(groups(group('web', job('app', ', consumes: {store: {instances: [{address: 10.9.9.9}], properties: {port: 1}}}'))));
    expect(linksOf(plan, 'web')).toEqual({ store: { instances: [{ address: '10.9.9.9' }], properties: { port: 1 }, address: null, deployment_name: 'dep' } });
  });

  it('gives the addresses of the wanted network, or names when IPs are not wanted', () => {
    const both = group('data', job('db'), { networks: '{name: private, default: [dns, gateway]}, {name: public}' });
    const web = (wish: string) => linksOf(planOf(groups(both, group('web', job('app', `, consumes: {store: {from: db, ${wish}}}`)))), 'web').store as { default_network: string; instances: { id: string; address: string }[] };
    expect(web('network: public')).toMatchObject({ default_network: 'public', instances: [{ address: expect.stringMatching(/^192\.168\.0\./) as string }] });
    expect(web('network: private').instances[0]?.address).toMatch(/^10\.0\.1\./);
    const named = web('ip_addresses: false').instances[0];
    expect(named?.address).toBe(`${named?.id ?? ''}.data.private.dep.bosh`);
  });

  it('is not there when it is optional and nobody provides it, or it is blocked', () => {
    expect(linksOf(planOf(groups(group('web', job('optional-app')))), 'web')).toEqual({});
    expect(linksOf(planOf(groups(data, group('web', job('optional-app', ', consumes: {store: nil}')))), 'web')).toEqual({});
  });

  it('is used again when the plan was carried out: nothing changes', () => {
    const state = stateWithLinks();
    const world = { manifest: groups(data, group('web', job('app'))), state };
    const again = completePlan({ ...world, state: applied(completePlan(world), state) });
    expect(again.groups.flatMap((one) => one.instances.flatMap((instance) => instance.changes))).toEqual([]);
    expect(again.links).toEqual(completePlan({ ...world, state: applied(completePlan(world), state) }).links);
  });
});

describe('links of other deployments', () => {
  const content = { deployment_name: 'other', domain: 'bosh', default_network: 'n', networks: ['n', 'm'], instance_group: 'far', properties: {}, use_dns_addresses: false, instances: [{ id: 'u', address: '1.1.1.1', addresses: { n: '1.1.1.1', m: '2.2.2.2' }, dns_addresses: { n: 'u.n' } }] };
  const far: RecordedProvider = { deployment: 'other', group: 'far', job: 'db', originalName: 'db', name: 'shared-db', type: 'sql', shared: true, consumable: true, content };
  const web = (wish: string) => groups(group('web', job('app', `, consumes: {store: {${wish}}}`)));

  it('have IPs although names are wanted when their deployment gives none, and the operator is told', () => {
    const warningsOf = (wish: string, features = '') => planOf(`${web(`from: shared-db, deployment: other${wish}`)}\n${features}`, [{ ...far, content: { ...content, instances: [{ ...content.instances[0], name: 'far' }] } }]).warnings;
    const told = ['DNS address not available for the link provider instance: far/u'];
    expect(warningsOf('', 'features: {use_dns_addresses: true}')).toEqual(told);
    expect(warningsOf(', ip_addresses: true', 'features: {use_dns_addresses: true}')).toEqual([]);
    expect(warningsOf(', ip_addresses: false', '')).toEqual([]);
    expect(warningsOf('')).toEqual([]);
  });

  it('are found by deployment and name', () => {
    expect(linksOf(planOf(web('from: shared-db, deployment: other, network: m'), [far]), 'web')).toMatchObject({ store: { deployment_name: 'other', default_network: 'm', instances: [{ id: 'u', address: '2.2.2.2' }] } });
  });

  it('are not found unless they are shared and named', () => {
    expect(errorOf(web('from: shared-db, deployment: other'), [{ ...far, shared: false }])).toContain('No link providers found');
    expect(errorOf(web('from: db, deployment: other'), [far])).toContain("Failed to resolve link 'store' with alias 'db' and type 'sql'");
    expect(errorOf(groups(group('web', job('app'))), [far])).toContain('No link providers found');
  });

  it('must be of a deployment that exists', () => {
    expect(errorOf(web('from: x, deployment: gone'))).toBe("Link 'x' in job 'app' from instance group 'web' consumes from deployment 'gone', but the deployment does not exist.");
  });

  it('are offered with their content when they are shared, though nobody here wants them', () => {
    const plan = planOf(groups(group('data', job('db', ', provides: {db: {shared: true}}')), group('copy', job('replica'))));
    expect(plan.links.providers.map((provider) => [provider.job, provider.content !== undefined])).toEqual([['db', true], ['replica', false]]);
  });
});

describe('custom providers', () => {
  const custom = (definition: string) => groups(group('data', job('db', `, properties: {tls: {ca: CA}}, custom_provider_definitions: [${definition}], provides: {mine: {as: theirs}}`)), group('web', job('app', ', consumes: {store: {from: theirs}}')));

  it('are links like others', () => {
    expect(linksOf(planOf(custom('{name: mine, type: sql, properties: [tls.ca]}')), 'web')).toMatchObject({ store: { properties: { tls: { ca: 'CA' } }, group_name: 'theirs-sql' } });
  });

  it.each([
    ['{name: db, type: sql}', "Custom provider 'db' in job 'db' in instance group 'data' is already defined in release 'rel'"],
    ['{name: mine, type: sql}, {name: mine, type: x}', "Custom provider 'mine' in job 'db' in instance group 'data' is defined multiple times in manifest."],
    ['{name: "", type: sql}', "Name for custom link provider definition in manifest in job 'db' in instance group 'data' must be a valid non-empty string."],
    ['{name: mine}', "Type for custom link provider definition in manifest in job 'db' in instance group 'data' must be a valid non-empty string."],
    ['{name: mine, type: sql, properties: [gone]}', 'Link property gone in template db is not defined in release spec'],
  ])('%s is refused', (definition, message) => {
    expect(errorOf(custom(definition))).toContain(message);
  });
});

describe('what cannot be resolved is told all at once', () => {
  it('with the texts of BOSH', () => {
    const manifest = groups(group('data', job('db')), group('copy', job('replica', ', provides: {replica: {as: two}}')), group('web', job('app')), group('cron', job('optional-app', ', consumes: {store: {from: gone}}')));
    expect(errorOf(manifest)).toBe(
      [
        "Failed to resolve links from deployment 'dep'. See errors below:",
        "  - Failed to resolve link 'store' with type 'sql' from job 'app' in instance group 'web'. Multiple link providers found:",
        "    - Link provider 'db' from job 'db' in instance group 'data' in deployment 'dep'",
        "    - Link provider 'replica' with alias 'two' from job 'replica' in instance group 'copy' in deployment 'dep'",
        "  - Failed to resolve link 'store' with alias 'gone' and type 'sql' from job 'optional-app' in instance group 'cron'. Details below:",
        '    - No link providers found',
      ].join('\n'),
    );
  });

  it.each([
    ['a network that the provider is not in', groups(data, group('web', job('app', ', consumes: {store: {from: db, network: public}}'))), "Link provider 'db' from job 'db' in instance group 'data' in deployment 'dep' does not belong to network 'public'"],
    ['a link that is blocked although it is needed', groups(data, group('web', job('app', ', consumes: {store: nil}'))), 'No link providers found'],
    ['a provider that gives nothing', groups(group('data', job('db', ', provides: {db: nil}')), group('web', job('app'))), 'No link providers found'],
  ])('%s', (_what, manifest, message) => {
    expect(errorOf(manifest)).toContain(message);
  });

  it.each([
    ['provides: {db: text}', "Provider 'db' in job 'db' in instance group 'data' specified in the manifest should only be a hash or string 'nil'"],
    ['provides: {db: {type: x}}', "Cannot specify 'name' or 'type' properties in the manifest for link 'db' in job 'db' in instance group 'data'. Please provide these keys in the release only."],
  ])('%s', (wish, message) => {
    expect(errorOf(groups(group('data', job('db', `, ${wish}`))))).toBe(message);
  });

  it.each([
    ['~', "Consumer 'store' in job 'app' in instance group 'web' specified in the manifest should only be a hash or string 'nil'"],
    ['{from: db, instances: []}', "Cannot specify both 'instances' and 'from' keys for link 'store' in job 'app' in instance group 'web'."],
    ['{properties: {}}', "Cannot specify 'properties' without 'instances' for link 'store' in job 'app' in instance group 'web'."],
    ['{from: db, ip_addresses: 1}', "Cannot specify non boolean values for 'ip_addresses' field for link 'store' in job 'app' in instance group 'web'."],
    ['{from: db, name: x}', "Cannot specify 'name' or 'type' properties in the manifest for link 'store' in job 'app' in instance group 'web'. Please provide these keys in the release only."],
  ])('consumes: {store: %s}', (wish, message) => {
    expect(errorOf(groups(data, group('web', job('app', `, consumes: {store: ${wish}}`))))).toBe(message);
  });

  it('properties that a release promises and does not have', () => {
    expect(errorOf(groups(group('data', job('broken'))))).toBe('Link property nowhere in template broken is not defined in release spec');
  });
});

it('names that nobody knows are only warned of', () => {
  const plan = planOf(groups(group('web', job('plain', ', consumes: {x: nil}, provides: {y: nil}'))));
  expect(plan.warnings).toEqual(["Job 'plain' (instance group 'web') has no link 'x' in its 'consumes'", "Job 'plain' (instance group 'web') has no link 'y' in its 'provides'"]);
});

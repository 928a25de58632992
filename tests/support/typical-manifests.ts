import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { isHash, parseManifestYaml, type Hash } from '../../server/core/yaml';
import type { ReleaseVersionRecord } from '../../server/releases/release';

/** Manifests as operators write them, and releases that have whatever the manifests name. */

export function fixture(name: string): string {
  return readFileSync(resolve(__dirname, '../fixtures/plan', name), 'utf8');
}

const links: Record<string, { provides?: Hash[]; consumes?: Hash[] }> = {
  'keeper-node': { provides: [{ name: 'peers', type: 'keeper_peers' }], consumes: [{ name: 'peers', type: 'keeper_peers' }] },
  'keeper-status': { consumes: [{ name: 'peers', type: 'keeper_peers' }] },
  'keeper-smoke-tests': { consumes: [{ name: 'peers', type: 'keeper_peers' }] },
  'sql-server': { provides: [{ name: 'conn', type: 'sql' }] },
  storefront: { consumes: [{ name: 'db', type: 'sql' }] },
  'migrate-schema': { consumes: [{ name: 'db', type: 'sql' }] },
};

/** One release per release of the documents, with the jobs that they take from it; each job has a package of its own and a common one. */
export function releasesOf(...documents: readonly string[]): ReleaseVersionRecord[] {
  const jobs = new Map<string, Set<string>>();
  const visit = (value: unknown): void => {
    if (Array.isArray(value)) value.forEach(visit);
    if (!isHash(value)) return;
    if (typeof value.release === 'string' && typeof value.name === 'string') jobs.set(value.release, (jobs.get(value.release) ?? new Set()).add(value.name));
    Object.values(value).forEach(visit);
  };
  documents.forEach((document) => visit(parseManifestYaml(document)));
  let id = 0;
  return [...jobs].map(([name, names], i): ReleaseVersionRecord => {
    const pkg = (pkgName: string, dependencies: string[]) => ({ id: ++id, name: pkgName, version: `v-${pkgName}`, fingerprint: `v-${pkgName}`, sha1: 'sha', blobstoreId: `package-${pkgName}`, dependencies });
    return {
      id: i + 1, name, version: '1.0',
      jobs: [...names].map((job) => ({
        id: ++id, name: job, version: `v-${job}`, fingerprint: `v-${job}`, sha1: 'sha', blobstoreId: `job-${job}`, packages: [`${name}-${job}`],
        spec: { name: job, packages: [`${name}-${job}`], properties: { port: { default: 80 }, max_client_connections: { default: 60 } }, ...links[job] },
      })),
      packages: [pkg(`${name}-common`, []), ...[...names].map((job) => pkg(`${name}-${job}`, [`${name}-common`]))],
    };
  });
}

const platformGroups: readonly [name: string, instances: number, more?: string][] = [
  ['message-bus', 2], ['metrics-store', 1], ['database', 1], ['cell-rep', 3], ['scheduler', 2], ['lock-server', 2], ['api', 2], ['api-workers', 2], ['api-clock', 1], ['router', 2],
  ['tcp-router', 2], ['login', 2], ['log-gateway', 2], ['log-cache', 2], ['log-ingress', 2], ['syslog-forwarder', 1], ['blob-store', 1], ['credential-store', 2], ['service-mesh', 2], ['ssh-proxy', 2],
  ['route-emitter', 2], ['build-helper', 1], ['app-stats', 1], ['policy-server', 2], ['certificate-issuer', 1], ['health-checks', 2], ['rotation', 1], ['backup', 1],
  ['smoke-tests', 1, 'lifecycle: errand, '], ['acceptance-tests', 1, 'lifecycle: errand, '],
];

/** An application platform of thirty groups: several jobs each, some serial, errands at its end. */
export function platformManifest(): string {
  const groups = platformGroups.map(([name, instances, more = ''], i) =>
    `- {name: ${name}, ${more}instances: ${instances}, azs: [${instances > 1 ? 'z1, z2' : 'z1'}], vm_type: ${i % 3 === 0 ? 'large' : 'small'}, stemcell: default, networks: [{name: private}], ` +
    `update: {serial: ${i % 4 === 0}}, jobs: [{name: ${name}, release: platform}, {name: ${name}-metrics, release: ${i % 2 === 0 ? 'platform' : 'telemetry'}}]}`);
  return `name: platform
releases: [{name: platform, version: latest}, {name: telemetry, version: latest}]
stemcells: [{alias: default, os: ubuntu, version: latest}]
update: {canaries: 1, max_in_flight: 1, canary_watch_time: 30000-1200000, update_watch_time: 5000-1200000, serial: false}
features: {randomize_az_placement: true, use_dns_addresses: true}
instance_groups:
${groups.join('\n')}
`;
}

/** A runtime config as operators give it to all deployments. */
export const addonsYaml = `
releases: [{name: dns, version: '1.0'}, {name: logging, version: '1.0'}]
addons:
- name: dns
  include: {stemcell: [{os: ubuntu}]}
  jobs: [{name: dns-resolver, release: dns, properties: {port: 53}}]
- name: syslog
  exclude: {lifecycle: errand}
  jobs: [{name: syslog-shipper, release: logging}]
tags: {operator: ops}
`;

import { createHash } from 'node:crypto';
import { parseManifestYaml, type Hash } from '../../server/core/yaml';
import { isLeftAlone, withCompiled, withRendered } from '../../server/plan/changes';
import { buildPlan } from '../../server/plan/build-plan';
import { noDnsIds } from '../../server/dns/names';
import { withLearned, withoutLearned } from '../../server/plan/network-settings';
import { fullSpec } from '../../server/plan/specs';
import type { ReleaseVersionRecord } from '../../server/releases/release';
import type { CompleteInstancePlan, DeployRequest, InstancePlan, Plan, PlanInput, RecordedInstance, RecordedState, RenderedHashes } from '../../server/plan/types';

/** Small worlds for planning: one release, one stemcell, a cloud config of three AZs, and what a finished deploy leaves behind. */

export const cloudYaml = `
azs:
- name: z1
  cloud_properties: {zone: one, shared: az}
- name: z2
  cloud_properties: {zone: two, shared: az}
- name: z3
vm_types:
- name: small
  cloud_properties: {size: s, shared: type}
- name: large
  cloud_properties: {size: l}
vm_extensions:
- name: fast
  cloud_properties: {fast: true, shared: extension}
disk_types:
- {name: d1, disk_size: 1024}
networks:
- name: private
  subnets:
  - {range: 10.0.1.0/24, gateway: 10.0.1.1, dns: [10.0.1.2], az: z1, reserved: [10.0.1.2-10.0.1.9], static: [10.0.1.200-10.0.1.220], cloud_properties: {name: one}}
  - {range: 10.0.2.0/24, gateway: 10.0.2.1, az: z2, static: [10.0.2.200-10.0.2.220]}
  - {range: 10.0.3.0/24, gateway: 10.0.3.1, az: z3, static: [10.0.3.200-10.0.3.220]}
- name: public
  subnets:
  - {range: 192.168.0.0/24, gateway: 192.168.0.1, azs: [z1, z2, z3], static: [192.168.0.100-192.168.0.120]}
compilation: {workers: 2, az: z1, network: private, vm_type: large, reuse_compilation_vms: true}
`;

export const manifestYaml = `
name: dep
releases: [{name: rel, version: latest}]
stemcells: [{alias: default, os: ubuntu, version: latest}]
update: {canaries: 1, max_in_flight: 2, canary_watch_time: 1000-30000, update_watch_time: 5000}
tags: {team: a}
instance_groups:
- name: web
  instances: 3
  azs: [z1, z2, z3]
  vm_type: small
  stemcell: default
  networks: [{name: private}]
  jobs: [{name: server, release: rel, properties: {port: 80}}]
`;

const serverSpec: Hash = {
  name: 'server',
  packages: ['app'],
  properties: { port: { default: 8080 }, 'tls.cert': { description: 'PEM' }, 'limits.max': { default: { b: 1, a: 2 } }, debug: { default: false } },
};

export function release(version: string): ReleaseVersionRecord {
  const digest = (text: string) => createHash('sha1').update(text).digest('hex');
  const job = (id: number, name: string, spec: Hash) => ({ id, name, version: digest(`${name} ${version}`), fingerprint: digest(`${name} ${version}`), sha1: digest(`${name} ${version} tgz`), blobstoreId: `job-${name}-${version}`, spec, packages: spec.packages as string[] });
  const pkg = (id: number, name: string, dependencies: string[]) => ({ id, name, version: digest(name), fingerprint: digest(name), sha1: digest(`${name} tgz`), blobstoreId: `package-${name}`, dependencies });
  return {
    id: version === '1.0' ? 1 : 2, name: 'rel', version,
    jobs: [
      job(1, 'server', serverSpec),
      job(2, 'plain', { name: 'plain', packages: [] }),
      job(3, 'consumer', { name: 'consumer', packages: [], consumes: [{ name: 'db', type: 'database' }] }),
      job(4, 'optional-consumer', { name: 'optional-consumer', packages: [], consumes: [{ name: 'db', type: 'database', optional: true }] }),
      job(5, 'provider', { name: 'provider', packages: [], provides: [{ name: 'db', type: 'database' }] }),
    ],
    packages: [pkg(1, 'app', ['lib', 'base']), pkg(2, 'lib', ['base']), pkg(3, 'base', []), pkg(4, 'unused', [])],
  };
}

export function emptyState(): RecordedState {
  return {
    director: { name: 'directorate', dnsDomain: 'bosh', localDns: true, useDnsAddresses: false, trustedCertsSha1: 'certs', natsConfigSha1: 'nats', blobstoreConfigSha1: 'blobs', ownAddresses: ['10.0.1.10'] },
    deployment: { name: 'dep', manifest: null, tags: {} },
    instances: [],
    takenAddresses: [],
    releases: [release('1.0')],
    stemcells: [{ id: 1, name: 'local-ubuntu', os: 'ubuntu', version: '1.200', apiVersion: 3, cpi: '', cid: 'sc-1.200' }],
    cpis: undefined,
    compiledPackages: [],
    deployments: ['dep'],
    linkProviders: [],
    dnsIds: noDnsIds,
    newInstanceIds: new Map(),
  };
}

export interface World {
  manifest?: string;
  cloud?: string;
  runtime?: string[];
  state?: RecordedState;
  request?: DeployRequest;
  calculatedResources?: PlanInput['calculatedResources'];
}

export function planInput(world: World = {}): PlanInput {
  let next = 0;
  const state = world.state ?? emptyState();
  const known = new Set(state.instances.map((instance) => instance.uuid));
  const newUuid = (): string => {
    const uuid = `00000000-0000-4000-8000-${String(++next).padStart(12, '0')}`;
    return known.has(uuid) ? newUuid() : uuid;
  };
  return {
    manifest: parseManifestYaml(world.manifest ?? manifestYaml), cloudConfigs: [parseManifestYaml(world.cloud ?? cloudYaml)],
    runtimeConfigs: (world.runtime ?? []).map(parseManifestYaml), state, request: world.request ?? {}, newUuid, calculatedResources: world.calculatedResources ?? [],
  };
}

const hash = (value: unknown) => createHash('sha1').update(JSON.stringify(value)).digest('hex');

/** Made-up renderings: they depend on properties and addresses, as real ones do. */
function renderings(instance: InstancePlan): RenderedHashes {
  const templateHashes = Object.fromEntries(instance.jobs.map((job) => [job.name, hash([job.properties, instance.networks, job.record.version])]));
  return instance.jobs.length > 0 ? { templateHashes, configurationHash: hash(templateHashes) } : { templateHashes };
}

/** The plan with made-up renderings and builds. */
export function completePlan(world: World = {}): Plan<CompleteInstancePlan> {
  const plan = buildPlan(planInput(world));
  const hashes = new Map(plan.groups.flatMap((group) => group.instances.map((instance) => [instance.uuid, renderings(instance)] as const)));
  const builds = new Map(plan.packages.map((requirement) => [requirement.key, requirement.compiled ?? { build: 1, blobstoreId: `compiled-${requirement.key}`, sha1: hash(requirement.key) }]));
  return withCompiled(withRendered(plan, hashes), builds);
}

/** What the cloud would say of the addresses that it has given to a new VM. */
function allotted(instance: CompleteInstancePlan, vmId: number): CompleteInstancePlan {
  const told = Object.fromEntries(Object.keys(instance.networks).map((name, i) => [name, { ip: `127.${i}.${vmId >> 8}.${vmId & 255}`, netmask: '255.0.0.0', gateway: '127.0.0.1' }]));
  const at = { ...instance, networks: withLearned(withoutLearned(instance.networks), told) };
  return { ...at, rendered: renderings(at) };
}

/** What is recorded after a plan was carried out without any trouble. */
export function applied(plan: Plan<CompleteInstancePlan>, state: RecordedState, made = '2026-01-01T00:00:00.000Z'): RecordedState {
  let nextId = Math.max(0, ...state.instances.map((instance) => instance.id), ...state.instances.map((instance) => instance.vm?.id ?? 0)) + 1;
  const instances = plan.groups.flatMap((group) =>
    group.instances.map((planned): RecordedInstance => {
      if (planned.existing && isLeftAlone(planned)) return { ...planned.existing, group: group.name, index: planned.index, az: planned.az, bootstrap: planned.bootstrap };
      const id = planned.existing?.id ?? nextId++;
      if (planned.dormant) return { id, uuid: planned.uuid, group: group.name, index: planned.index, az: planned.az, state: 'started', bootstrap: planned.bootstrap, ignore: false, updateCompleted: false, spec: null, cloudProperties: null, reservations: [], persistentDisks: [] };
      const keepsVm = planned.existing?.vm && !planned.needsRecreate;
      const vmId = nextId++;
      const instance = keepsVm ? planned : allotted(planned, vmId);
      const vm = keepsVm ? instance.existing?.vm : { id: vmId, agentId: `agent-${nextId}`, cid: `vm-${nextId}`, cpi: instance.stemcell.cpi, active: true, stemcellApiVersion: 3, createdAt: made, trustedCertsSha1: 'certs', natsConfigSha1: 'nats', blobstoreConfigSha1: 'blobs', networks: { ...instance.networks } };
      return {
        id, uuid: instance.uuid, group: group.name, index: instance.index, az: instance.az, state: instance.desiredState, bootstrap: instance.bootstrap, ignore: false, updateCompleted: true,
        spec: JSON.parse(JSON.stringify(fullSpec(instance, plan, { blobstore_id: 'archive', sha1: 'sha' }))) as RecordedInstance['spec'],
        dns: instance.dns, cloudProperties: instance.cloudProperties, ...(vm ? { vm } : {}),
        reservations: [...instance.reservations.keep, ...instance.reservations.make].map((reservation) => ({ ...reservation, vmId: vm?.id })),
        agentState: { jobState: instance.desiredState === 'started' ? 'running' : 'stopped', networks: { ...instance.networks } },
        persistentDisks: instance.disks.map(({ name, size, cloudProperties }, i) => ({ id: id * 100 + i, cid: `disk-${id}-${name}`, cpi: instance.stemcell.cpi, name, size, cloudProperties, active: true, fresh: false })),
      };
    }),
  );
  const before = new Set(state.instances.flatMap((instance) => instance.reservations.map((reservation) => reservation.address)));
  // VMs that were swapped out keep their addresses until they are deleted.
  const orphaned = plan.groups.flatMap((group) => group.instances.flatMap(({ swap, existing }) => (swap ? (existing?.reservations ?? []).filter((one) => one.vmId === existing?.vm?.id).map((one) => one.address) : [])));
  const others = [...state.takenAddresses.filter((address) => !before.has(address)), ...orphaned];
  return {
    ...state, instances, deployment: { ...state.deployment, manifest: plan.manifest, tags: plan.tags },
    takenAddresses: [...others, ...instances.flatMap((instance) => instance.reservations.map((reservation) => reservation.address))],
  };
}

/** A manifest or cloud config with texts replaced; throws when one of them is not there. */
export function edit(text: string, ...replacements: [from: string, to: string][]): string {
  return replacements.reduce((edited, [from, to]) => {
    if (!edited.includes(from)) throw new Error(`'${from}' is not in the text`);
    return edited.replace(from, to);
  }, text);
}

import type { Hash } from '../core/yaml';
import { instanceDnsName } from '../core/names';
import { updateSpec } from '../deployments/update-config';
import type { ApplySpec, FullSpec, InitialApplySpec, JobSpec, NetworkSettings, RenderedTemplatesArchive } from '../instances/instance';
import type { TemplateSpec } from '../templates/render-job';
import { diskSpec, diskTypeSpec } from './disks';
import type { BoundJob, CompleteInstancePlan, InstancePlan, Plan } from './types';

/**
 * The forms in which a planned instance is told to others: to its agent, to templates, to the records.
 * Shapes: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/instance_spec.rb; key order is kept too.
 */

/** What of a plan the specs need. */
type PlanFacts = Pick<Plan, 'deployment' | 'director'>;

/** `job` of every spec; null in a group without jobs. */
export function jobSpec(group: string, jobs: readonly BoundJob[]): JobSpec | null {
  const [first] = jobs;
  if (!first) return null;
  const templates = jobs.map(({ name, record }) => ({ name, version: record.version, sha1: record.sha1, blobstore_id: record.blobstoreId, logs: record.spec.logs ?? [] }));
  return { name: group, templates, template: first.name, version: first.record.version };
}

/** Argument of `apply` and `prepare`. @param archive the rendered templates; undefined when there is nothing to install */
export function applySpec(instance: CompleteInstancePlan, plan: PlanFacts, archive: RenderedTemplatesArchive | undefined): ApplySpec {
  const { configurationHash, templateHashes } = instance.rendered;
  return {
    deployment: plan.deployment,
    job: jobSpec(instance.group, instance.jobs),
    index: instance.index,
    name: instance.group,
    id: instance.uuid,
    az: instance.az,
    networks: instance.networks,
    packages: { ...instance.packageSpecs },
    dns_domain_name: plan.director.dnsDomain,
    ...diskSpec(instance.disks),
    template_hashes: templateHashes,
    ...(archive ? { rendered_templates_archive: archive } : {}),
    ...(configurationHash === undefined ? {} : { configuration_hash: configurationHash }),
  };
}

/** First `apply` of a new VM. */
export function initialApplySpec(instance: InstancePlan, plan: PlanFacts): InitialApplySpec {
  return { deployment: plan.deployment, job: jobSpec(instance.group, instance.jobs), index: instance.index, id: instance.uuid, networks: instance.networks };
}

/** What is recorded of an instance once the agent has been given `applySpec`. */
export function fullSpec(instance: CompleteInstancePlan, plan: PlanFacts, archive: RenderedTemplatesArchive | undefined): FullSpec {
  return { ...applySpec(instance, plan, archive), ...vmFacts(instance), bootstrap: instance.bootstrap, lifecycle: instance.lifecycle, properties: propertiesOf(instance), properties_need_filtering: true, address: instance.address, update: updateSpec(instance.update), ...diskTypeSpec(instance.disks) };
}

/**
 * What is recorded as soon as an instance has a new VM and before anything is applied to it: what the VM was made with.
 * Without it a later deploy could not see that such a VM is out of date.
 */
export function specOfNewVm(instance: InstancePlan): Partial<FullSpec> {
  return { ...instance.existing?.spec, networks: instance.networks, ...vmFacts(instance) };
}

function vmFacts(instance: InstancePlan): Pick<FullSpec, 'vm_type' | 'vm_resources' | 'stemcell' | 'env'> {
  const { vmType, vmResources, stemcell, env } = instance;
  return { vm_type: vmType && { name: vmType.name, cloud_properties: vmType.cloudProperties }, ...(vmResources ? { vm_resources: vmResources } : {}), stemcell: { name: stemcell.name, version: stemcell.version, ...(stemcell.cpi === '' ? {} : { cpi: stemcell.cpi }) }, env };
}

function propertiesOf(instance: InstancePlan): Record<string, Hash> {
  return Object.fromEntries(instance.jobs.map((job) => [job.name, job.properties]));
}

/** What the templates of one job of the instance see as `spec`. */
export function templateSpec(instance: InstancePlan, job: BoundJob, plan: PlanFacts): TemplateSpec {
  const { dnsDomain } = plan.director;
  const record = (network: string) => instanceDnsName(String(instance.index), { group: instance.group, network, deployment: plan.deployment, domain: dnsDomain });
  const networks = Object.fromEntries(Object.entries(instance.networks).map(([name, settings]) => [name, { ...settings, ...unknownAddress(settings), dns_record_name: record(name) }]));
  return {
    deployment: plan.deployment,
    job: jobSpec(instance.group, instance.jobs) ?? {},
    index: instance.index,
    bootstrap: instance.bootstrap,
    name: instance.group,
    id: instance.uuid,
    az: instance.az,
    networks,
    properties_need_filtering: true,
    dns_domain_name: dnsDomain,
    ...diskSpec(instance.disks),
    address: instance.address,
    ip: instance.ip,
    properties: job.properties,
    links: job.links,
    release: { name: job.release.name, version: job.release.version },
  };
}

/** Templates are rendered before the cloud has told addresses; then they get ones that can be parsed. */
function unknownAddress({ type, ip, netmask, gateway }: NetworkSettings): Partial<NetworkSettings> {
  const placeholder = '127.0.0.1';
  return type === 'dynamic' ? { ip: ip ?? placeholder, netmask: netmask ?? placeholder, gateway: gateway ?? placeholder } : {};
}

/** The addressable network, else the one with the default gateway; undefined when neither is there. */
export function addressableNetwork(networks: Readonly<Record<string, NetworkSettings>>): string | undefined {
  const all = Object.entries(networks);
  const [name] = all.find(([, settings]) => settings.default?.includes('addressable')) ?? all.find(([, settings]) => settings.default?.includes('gateway')) ?? [];
  return name;
}

/** Cloud config and deployment manifest of the embedded default, as plain values (callers write them as YAML or JSON). */

const zones = ['z1', 'z2', 'z3'] as const;

export interface CloudConfigOptions {
  /** Second byte of the loopback addresses, so that installations on one machine do not meet: 127.<net>.<zone>.x. */
  net?: number;
}

/** Three AZs with a subnet of the loopback network each: jobs of the local cloud really listen on these addresses. */
export function sampleCloudConfig(options: CloudConfigOptions = {}): object {
  const net = options.net ?? 10;
  return {
    azs: zones.map((name) => ({ name, cloud_properties: {} })),
    vm_types: [
      { name: 'default', cloud_properties: { cpu: 1, ram: 256 } },
      { name: 'large', cloud_properties: { cpu: 2, ram: 1024 } },
    ],
    disk_types: [{ name: 'small', disk_size: 1024, cloud_properties: {} }],
    networks: [
      {
        name: 'default',
        type: 'manual',
        subnets: zones.map((az, index) => {
          const prefix = `127.${net}.${index + 1}`;
          return { range: `${prefix}.0/24`, gateway: `${prefix}.1`, azs: [az], dns: [], reserved: [`${prefix}.2-${prefix}.9`], static: [`${prefix}.200-${prefix}.250`], cloud_properties: {} };
        }),
      },
    ],
    compilation: { workers: 2, reuse_compilation_vms: true, az: 'z1', vm_type: 'default', network: 'default' },
  };
}

export interface HelloManifestOptions {
  /** Name of the deployment. */
  name?: string;
  instances?: number;
  /** Path of the Node.js executable that runs the server; the PATH of a VM does not have it. */
  node: string;
  port?: number;
  greeting?: string;
  releaseVersion?: string;
  stemcellVersion?: string;
  operatingSystem?: string;
}

/** The sample deployment: instances of the job `hello` over three AZs, one canary. Watch times are ms. */
export function helloManifest(options: HelloManifestOptions): object {
  return {
    name: options.name ?? 'hello',
    releases: [{ name: 'hello', version: options.releaseVersion ?? 'latest' }],
    stemcells: [{ alias: 'default', os: options.operatingSystem ?? 'local-linux', version: options.stemcellVersion ?? 'latest' }],
    update: { canaries: 1, max_in_flight: 2, canary_watch_time: '1000-30000', update_watch_time: '1000-30000' },
    instance_groups: [
      {
        name: 'hello',
        azs: [...zones],
        instances: options.instances ?? 3,
        vm_type: 'default',
        stemcell: 'default',
        networks: [{ name: 'default' }],
        jobs: [{ name: 'hello', release: 'hello', properties: { port: options.port ?? 8080, greeting: options.greeting ?? 'Hello from Directorate', node: options.node } }],
      },
    ],
  };
}

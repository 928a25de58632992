import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { networkOf } from '../../server/local/install-samples';
import { helloManifest, sampleCloudConfig } from '../../server/local/samples/manifests';
import { buildLocalStemcell } from '../../server/local/samples/stemcell';
import { deployManifest } from './deploys';
import type { Figure } from './figures';
import { allReady, prepareArtifacts, query, type Site } from './site';

export interface ScaleSize {
  groups: number;
  perGroup: number;
  /** Deploys without changes. */
  rounds: number;
}

const name = 'bench-scale';
const os = 'simulated-linux';

/** A deployment of simulated VMs, large: its first deploy, and deploys that find nothing to do. Its VMs stay until the bench ends. */
export async function measureScale(site: Site, size: ScaleSize): Promise<Figure[]> {
  await prepareArtifacts(site);
  await allReady(site);
  const simulator = startSimulator(site);
  try {
    const stemcell = await buildLocalStemcell({ name: os, operatingSystem: os, agent: { agent: 'simulated' } });
    await site.director.followTask(await site.director.startTask('/stemcells', { contentType: 'application/x-compressed', content: stemcell.tarball }));
    await uploadWideNetwork(site);
    const manifest = manifestOf(size);
    const count = size.groups * size.perGroup;
    site.say(`first deploy of ${count} simulated VMs; this takes minutes`);
    const first = await deployManifest(site, manifest);
    const noChange: number[] = [];
    for (let round = 0; round < size.rounds; round++) {
      site.say(`deploy of ${count} instances without changes (${round + 1} of ${size.rounds})`);
      noChange.push(await deployManifest(site, manifest));
    }
    const [{ count: updates } = { count: -1 }] = await query<{ count: number }>(site, `SELECT count(*) AS count FROM events WHERE deployment = $1 AND object_type = 'instance' AND action = 'update'`, [name]);
    if (updates !== 0) throw new Error(`${updates} updates of instances were recorded where nothing had changed`);
    const what = `${count} instances in ${size.groups} groups`;
    return [
      { what: `first deploy of ${what}`, unit: 'ms', samples: [first], note: 'simulated VMs; one CPI process for each call' },
      { what: `deploy of ${what} without changes`, unit: 'ms', samples: noChange, note: 'request sent to task ended' },
    ];
  } finally {
    simulator.kill('SIGTERM');
  }
}

function startSimulator({ embedded }: Site): ChildProcess {
  const child = spawn(process.execPath, [join(__dirname, 'simulator.cjs'), '--state', embedded.layout.cloud, '--heartbeat-ms', '30000'], { stdio: ['ignore', 'ignore', 'inherit'] });
  process.once('exit', () => child.kill('SIGKILL'));
  void once(child, 'exit');
  return child;
}

/** Addresses for thousands; the sample's subnets have room for some hundreds. */
async function uploadWideNetwork({ director, embedded }: Site): Promise<void> {
  const net = networkOf(embedded.layout.port);
  const subnets = ['z1', 'z2', 'z3'].map((az, i) => ({ range: `127.${net}.${32 * (i + 1)}.0/19`, gateway: `127.${net}.${32 * (i + 1)}.1`, azs: [az], dns: [], cloud_properties: {} }));
  const sample = sampleCloudConfig({ net });
  const networks = 'networks' in sample && Array.isArray(sample.networks) ? sample.networks : [];
  const content = stringify({ ...sample, networks: [...networks, { name: 'wide', type: 'manual', subnets }] });
  await director.post('/configs', { contentType: 'application/json', content: JSON.stringify({ name: 'default', type: 'cloud', content }) });
}

function manifestOf({ groups, perGroup }: ScaleSize): object {
  const sample = helloManifest({ name, instances: perGroup, node: process.execPath, operatingSystem: os });
  const [group] = 'instance_groups' in sample && Array.isArray(sample.instance_groups) ? sample.instance_groups : [];
  const watch = '100-60000';
  return {
    ...sample, update: { canaries: 1, max_in_flight: '100%', serial: false, canary_watch_time: watch, update_watch_time: watch },
    instance_groups: Array.from({ length: groups }, (_, i) => ({ ...group, name: `group-${i}`, networks: [{ name: 'wide' }] })),
  };
}

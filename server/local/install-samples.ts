import { createServer } from 'node:net';
import { stringify } from 'yaml';
import { z } from 'zod';
import type { DirectorClient } from './director-client';
import { helloManifest, sampleCloudConfig } from './samples/manifests';
import { buildHelloRelease } from './samples/release';
import { buildLocalStemcell } from './samples/stemcell';

export type Step = <T>(what: string, work: (progress: (detail: string) => void) => Promise<T>) => Promise<T>;

const archive = 'application/x-compressed';
const deploymentName = 'hello';

/**
 * Brings the samples in through the director's own API, as an operator would: stemcell, cloud config, release,
 * deployment `hello`. What is there already stays as it is; a deploy that an earlier start began is followed to its end.
 */
export async function installSamples(director: DirectorClient, options: { port: number; step: Step }): Promise<void> {
  const net = networkOf(options.port);
  await offerStemcell(director, options.step);
  await offerCloudConfig(director, options.step, net);
  await offerRelease(director, options.step);
  await offerDeployment(director, options.step, { net, port: options.port });
}

async function offerStemcell(director: DirectorClient, step: Step): Promise<void> {
  const stemcell = await buildLocalStemcell();
  const present = await director.get('/stemcells', z.array(z.object({ name: z.string(), version: z.string() })));
  if (present.some(({ name, version }) => name === stemcell.name && version === stemcell.version)) return;
  await step(`Stemcell ${stemcell.name}/${stemcell.version}`, async () => director.followTask(await director.startTask('/stemcells', { contentType: archive, content: stemcell.tarball })));
}

async function offerCloudConfig(director: DirectorClient, step: Step, net: number): Promise<void> {
  const present = await director.get('/configs?type=cloud&latest=true', z.array(z.object({ name: z.string() })));
  if (present.length > 0) return;
  await step('Cloud config: 3 AZs', () =>
    director.post('/configs', {
      contentType: 'application/json',
      content: JSON.stringify({ name: 'default', type: 'cloud', content: stringify(sampleCloudConfig({ net })) }),
    }),
  );
}

async function offerRelease(director: DirectorClient, step: Step): Promise<void> {
  const release = await buildHelloRelease();
  const present = await director.get('/releases', z.array(z.object({ name: z.string(), release_versions: z.array(z.object({ version: z.string() })) })));
  if (present.some(({ name, release_versions: versions }) => name === release.name && versions.some(({ version }) => version === release.version))) return;
  await step(`Release ${release.name}/${release.version}`, async () => director.followTask(await director.startTask('/releases', { contentType: archive, content: release.tarball })));
}

async function offerDeployment(director: DirectorClient, step: Step, at: { net: number; port: number }): Promise<void> {
  const [running] = await director.activeTasks(deploymentName);
  const present = await director.get('/deployments?exclude_configs=true', z.array(z.object({ name: z.string() })));
  if (running === undefined && present.some(({ name }) => name === deploymentName)) return;
  await step(`Deployment ${deploymentName}: 3 instances in 3 AZs`, async (progress) => {
    const id = running?.id ?? (await director.startTask('/deployments', { contentType: 'text/yaml', content: await manifest(at) }));
    await director.followTask(id, ({ stage, task, state }) => {
      if (state === 'started') progress(`${stage}: ${task}`);
    });
  });
}

async function manifest({ net, port }: { net: number; port: number }): Promise<string> {
  // A program that listens on all addresses also takes the port away from the VMs.
  const free = await isFree(8080, `127.${net}.1.10`);
  return stringify(helloManifest({ name: deploymentName, node: process.execPath, port: free ? 8080 : port + 51 }));
}

/** Second byte of the VMs' addresses: 10 on the default port, another on others, so that installations do not meet. */
export function networkOf(port: number): number {
  return port === 25_555 ? 10 : 11 + (port % 240);
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((done) => {
    const probe = createServer();
    probe.once('error', () => done(false));
    probe.listen(port, host, () => probe.close(() => done(true)));
  });
}

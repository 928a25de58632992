import { stringify } from 'yaml';
import { helloManifest } from '../../server/local/samples/manifests';
import type { Figure } from './figures';
import { KeepAlive } from './keep-alive';
import { allReady, nowMs, prepareArtifacts, query, type Site } from './site';

const watch = '1000-30000';

/** Deploys the sample release; returns the time from sending the manifest to the end of the task, ms. */
export async function deployHello(site: Site, options: { name: string; instances: number }): Promise<number> {
  const manifest = { ...helloManifest({ ...options, node: process.execPath, port: 8_080 }), update: { canaries: 1, max_in_flight: 2, canary_watch_time: watch, update_watch_time: watch } };
  return deployManifest(site, manifest);
}

/** Deploys a manifest; returns the time from sending it to the end of the task, ms. */
export async function deployManifest(site: Site, manifest: object): Promise<number> {
  const sentAt = nowMs();
  const id = await site.director.startTask('/deployments', { contentType: 'text/yaml', content: stringify(manifest) });
  await site.director.followTask(id);
  return (await finishedAt(site, id)) - sentAt;
}

async function finishedAt(site: Site, taskId: number): Promise<number> {
  const [row] = await query<{ at: number }>(site, 'SELECT extract(epoch FROM finished_at)::float8 * 1000 AS at FROM tasks WHERE id = $1', [taskId]);
  if (!row) throw new Error(`task ${taskId} is not recorded`);
  return row.at;
}

/** Deploys of one instance: with everything to compile, with compiled packages, and without changes. */
export async function measureDeploys(site: Site, rounds: { fresh: number; noChange: number }): Promise<Figure[]> {
  await prepareArtifacts(site);
  await allReady(site);
  const name = 'bench-one';
  const agent = `the TypeScript agent of the local cloud, watch times ${watch} ms`;
  const compiling: number[] = [];
  const compiled: number[] = [];
  for (let round = 0; round < rounds.fresh; round++) {
    if (round > 0) await deleteDeployment(site, name);
    const [packages] = await query<{ count: number }>(site, 'SELECT count(*) AS count FROM compiled_packages');
    site.say(`deploy of one new instance (${round + 1} of ${rounds.fresh})`);
    const ms = await deployHello(site, { name, instances: 1 });
    ((packages?.count ?? 0) === 0 ? compiling : compiled).push(ms);
  }
  const noChange: number[] = [];
  for (let round = 0; round < rounds.noChange; round++) {
    site.say(`deploy without changes (${round + 1} of ${rounds.noChange})`);
    noChange.push(await deployHello(site, { name, instances: 1 }));
  }
  return [
    ...(compiling.length > 0 ? [{ what: 'first deploy of one instance, two packages to compile', unit: 'ms' as const, samples: compiling, note: agent }] : []),
    { what: 'deploy of one new instance, packages compiled', unit: 'ms', samples: compiled, note: agent },
    { what: 'deploy of one instance without changes', unit: 'ms', samples: noChange, note: 'request sent to task ended' },
  ];
}

async function deleteDeployment(site: Site, name: string): Promise<void> {
  const { ca, client, clientSecret } = site.embedded.installation;
  const connection = new KeepAlive({ port: site.embedded.layout.port, ca, auth: `${client}:${clientSecret}` });
  const answer = await connection.send('DELETE', `/deployments/${name}`);
  connection.close();
  const id = /\/tasks\/(\d+)$/.exec(answer.location ?? '')?.[1];
  if (id === undefined) throw new Error(`DELETE /deployments/${name} answered ${answer.status}`);
  await site.director.followTask(Number(id));
}

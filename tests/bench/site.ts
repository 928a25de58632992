import { readFileSync } from 'node:fs';
import { setTimeout as wait } from 'node:timers/promises';
import { stringify } from 'yaml';
import { connect, type Connections } from '../../db/client';
import { DirectorClient } from '../../server/local/director-client';
import { startEmbedded, type Embedded } from '../../server/local/embedded';
import { networkOf } from '../../server/local/install-samples';
import { sampleCloudConfig } from '../../server/local/samples/manifests';
import { buildHelloRelease } from '../../server/local/samples/release';
import { buildLocalStemcell } from '../../server/local/samples/stemcell';

/** The installation that is measured: three nodes with everything on this machine, and a look into its database. */
export interface Site {
  embedded: Embedded;
  connections: Connections;
  director: DirectorClient;
  say: (text: string) => void;
  stop(): Promise<void>;
}

export interface SiteOptions {
  root: string;
  dataDir: string;
  port: number;
  say: (text: string) => void;
}

export async function startSite({ root, dataDir, port, say }: SiteOptions): Promise<Site> {
  // Nodes stay away until the bench starts them again; the default pause of 2 s would only make it longer.
  const embedded = await startEmbedded({ root, dataDir, port, restartDelayMs: 300 });
  const connections = connect({ url: embedded.databaseUrl, poolSize: 4, applicationName: 'bench' });
  const { ca, client, clientSecret } = embedded.installation;
  return {
    embedded,
    connections,
    director: new DirectorClient({ url: embedded.url, ca, client, clientSecret }),
    say,
    stop: async () => {
      await connections.close();
      await embedded.stopAll();
    },
  };
}

/** Milliseconds since 1970 with fractions; comparable with the database's clock, since both are this machine's. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Rows of a query. */
export async function query<T extends object>(site: Site, text: string, values: unknown[] = []): Promise<T[]> {
  return (await site.connections.pool.query<T>(text, values)).rows;
}

/** Asks again every `everyMs` until the answer is there; throws after `longestMs`. */
export async function until<T>(what: string, ask: () => Promise<T | undefined>, { everyMs = 20, longestMs = 60_000 } = {}): Promise<T> {
  const deadline = performance.now() + longestMs;
  for (;;) {
    const found = await ask();
    if (found !== undefined) return found;
    if (performance.now() > deadline) throw new Error(`waited ${longestMs / 1000} s in vain for ${what}`);
    await wait(everyMs);
  }
}

export interface NodeRow {
  id: string;
  name: string;
}

/** The living nodes, once all of them are ready. */
export async function allReady(site: Site): Promise<NodeRow[]> {
  return until('three ready nodes', async () => {
    const nodes = await query<NodeRow>(site, `SELECT id, name FROM director_nodes WHERE state = 'ready' AND heartbeat_at > now() - interval '1 second' ORDER BY name`);
    return nodes.length === site.embedded.nodes.length && new Set(nodes.map((node) => node.name)).size === nodes.length ? nodes : undefined;
  });
}

/** Resident memory of a process, MB. */
export function residentMb(pid: number): number {
  const kb = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kb ?? Number.NaN) / 1024;
}

/** Stemcell, cloud config and release of the samples; uploads them once. */
export async function prepareArtifacts(site: Site): Promise<void> {
  const [{ count } = { count: 0 }] = await query<{ count: number }>(site, 'SELECT count(*) AS count FROM stemcells');
  if (count > 0) return;
  const { director } = site;
  site.say('uploading stemcell and release');
  const contentType = 'application/x-compressed';
  await director.followTask(await director.startTask('/stemcells', { contentType, content: (await buildLocalStemcell()).tarball }));
  await director.followTask(await director.startTask('/releases', { contentType, content: (await buildHelloRelease()).tarball }));
  const content = stringify(sampleCloudConfig({ net: networkOf(site.embedded.layout.port) }));
  await director.post('/configs', { contentType: 'application/json', content: JSON.stringify({ name: 'default', type: 'cloud', content }) });
}

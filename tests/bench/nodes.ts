import { setTimeout as wait } from 'node:timers/promises';
import type { Figure } from './figures';
import { allReady, residentMb, type Site } from './site';

const settleMs = 10_000;

/** Memory of nodes that have been started and do nothing; run it before anything else. */
export async function measureMemory(site: Site): Promise<Figure[]> {
  await allReady(site);
  site.say(`letting the nodes rest for ${settleMs / 1000} s`);
  await wait(settleMs);
  const samples = site.embedded.processes().filter((process) => process.role === 'node').map((process) => residentMb(process.pid));
  return [{ what: 'resident memory per idle node', unit: 'MB', samples, note: 'console loaded, nothing rendered yet' }];
}

/** Start of a node's process → /readyz answers 200; asked every 40 ms. */
export async function measureStarts(site: Site, rounds: number): Promise<Figure[]> {
  const samples: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const node = site.embedded.nodes[round % site.embedded.nodes.length];
    if (!node) break;
    await allReady(site);
    site.say(`node ${node.name}: stop and start (${round + 1} of ${rounds})`);
    await site.embedded.stop(node.name);
    const since = performance.now();
    await site.embedded.start(node.name);
    samples.push(performance.now() - since);
  }
  return [{ what: 'node start → ready', unit: 'ms', samples, note: 'process start to /readyz' }];
}

import { readlink, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { readText } from './proc';

/** What `get_state full` and heartbeats say about the machine; numbers are strings, as the stock agent sends them. */
export interface Vitals {
  load: string[];
  cpu: { user?: string; sys?: string; wait?: string };
  mem: { percent?: string; kb?: string };
  swap: { percent?: string; kb?: string };
  uptime: { secs?: number };
  disk: Record<string, { percent: string; inode_percent: string }>;
}

interface CpuSample {
  user: number;
  system: number;
  wait: number;
  total: number;
}

/** Makes a reader of vitals; CPU shares are those since its previous reading (at first: since boot). */
export function createVitals(base: string): () => Promise<Vitals> {
  let previous: CpuSample = { user: 0, system: 0, wait: 0, total: 0 };
  return async () => {
    const sample = readCpu();
    const cpu = shares(previous, sample);
    previous = sample;
    return { load: readLoad(), cpu, ...readMemory(), uptime: { secs: Math.floor(Number(readText('/proc/uptime')?.split(' ')[0] ?? 0)) }, disk: await readDisks(base) };
  };
}

function readLoad(): string[] {
  return readText('/proc/loadavg')?.split(' ').slice(0, 3) ?? [];
}

function readCpu(): CpuSample {
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softirq = 0] = (readText('/proc/stat')?.split('\n')[0]?.split(/\s+/).slice(1) ?? []).map(Number);
  return { user: user + nice, system: system + irq + softirq, wait, total: user + nice + system + idle + wait + irq + softirq };
}

function shares(before: CpuSample, now: CpuSample): Vitals['cpu'] {
  const elapsed = now.total - before.total;
  const share = (part: number) => (elapsed <= 0 ? '0.0' : ((100 * part) / elapsed).toFixed(1));
  return { user: share(now.user - before.user), sys: share(now.system - before.system), wait: share(now.wait - before.wait) };
}

function readMemory(): Pick<Vitals, 'mem' | 'swap'> {
  const text = readText('/proc/meminfo') ?? '';
  const kilobytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0);
  const use = (total: number, free: number) => ({ percent: String(total === 0 ? 0 : Math.round((100 * (total - free)) / total)), kb: String(total - free) });
  return { mem: use(kilobytes('MemTotal'), kilobytes('MemAvailable')), swap: use(kilobytes('SwapTotal'), kilobytes('SwapFree')) };
}

async function readDisks(base: string): Promise<Vitals['disk']> {
  const disk: Vitals['disk'] = { system: await diskUse('/'), ephemeral: await diskUse(join(base, 'data')) };
  const store = join(base, 'store');
  const mounted = await readlink(store).then(
    () => true,
    () => false,
  );
  return mounted ? { ...disk, persistent: await diskUse(store) } : disk;
}

async function diskUse(path: string): Promise<{ percent: string; inode_percent: string }> {
  const { blocks, bfree, files, ffree } = await statfs(path);
  const percent = (total: number, free: number) => String(total === 0 ? 0 : Math.round((100 * (total - free)) / total));
  return { percent: percent(blocks, bfree), inode_percent: percent(files, ffree) };
}

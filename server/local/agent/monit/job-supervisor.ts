import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import type { Log } from '../../../core/log';
import { isMissing, readJsonFile, writeJsonFile } from '../files';
import { pageKilobytes, readStat, readText, ticksPerSecond } from '../proc';
import { parseMonitrc, type MonitProcess } from './monitrc';
import { Service } from './service';

export type JobState = 'running' | 'failing' | 'starting' | 'stopped';

/** A process as `get_state` lists it. */
export interface ProcessReport {
  name: string;
  state: string;
  uptime: { secs: number };
  mem: { kb: number; percent: number };
  cpu: { total: number };
}

export interface SupervisorDeps {
  base: string;
  env: Record<string, string>;
  log: Log;
  /** Told when a monitored process is found dead. */
  onMissing: (processName: string) => void;
}

const checkIntervalMs = 500;
const stateSchema = z.object({ monitored: z.boolean() });

/**
 * Supervises the processes of the jobs, in place of monit. Its state is on disk — the registered control files, whether they are
 * monitored, `stopped` — so that an agent that is started again goes on with the processes that its predecessor left.
 */
export class JobSupervisor {
  readonly #deps: SupervisorDeps;
  readonly #directory: string;
  #services: Service[] = [];
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: SupervisorDeps) {
    this.#deps = deps;
    this.#directory = join(deps.base, 'monit');
  }

  /** Reads what is registered and, unless the jobs were stopped or un-monitored, starts or adopts their processes. */
  async start(): Promise<void> {
    await mkdir(join(this.#directory, 'job'), { recursive: true });
    this.#stopped = await hasFile(join(this.#directory, 'stopped'));
    await this.#load();
    const state = await readJsonFile(join(this.#directory, 'state.json'), stateSchema);
    if (!this.#stopped && state?.monitored === true) this.#startServices();
    this.#timer = setInterval(() => this.#check(), checkIntervalMs);
  }

  /** Stops supervising; the processes go on. */
  stop(): void {
    clearInterval(this.#timer);
    for (const service of this.#services) service.unmonitor();
  }

  /** Forgets every job; the processes go on unattended. */
  async removeAll(): Promise<void> {
    for (const service of this.#services) service.unmonitor();
    this.#services = [];
    await rm(join(this.#directory, 'job'), { recursive: true, force: true });
    await mkdir(join(this.#directory, 'job'), { recursive: true });
    await this.#saveMonitored(false);
  }

  /** Registers control files (`text`) in the given order, replacing all that was registered. Throws when one cannot be used. */
  async register(files: { job: string; name: string; text: string }[]): Promise<void> {
    for (const file of files) this.#parse(file.name, file.text);
    await this.removeAll();
    for (const [index, file] of files.entries()) {
      await writeFile(join(this.#directory, 'job', `${String(index).padStart(4, '0')}_${file.job}${file.name === 'monit' ? '' : `_${file.name}`}.monitrc`), file.text);
    }
    await this.#load();
  }

  /** Starts every process and monitors it; does not wait for them. */
  async startAll(): Promise<void> {
    await rm(join(this.#directory, 'stopped'), { force: true });
    this.#stopped = false;
    await this.#saveMonitored(true);
    this.#startServices();
  }

  /** Stops every process, dependants first; rejects when one still runs after `timeoutMs`. */
  async stopAll(timeoutMs: number): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    await this.unmonitorAll();
    for (const level of stopOrder(this.#services)) await Promise.all(level.map((service) => service.stop(deadline)));
    await writeFile(join(this.#directory, 'stopped'), '');
    this.#stopped = true;
  }

  async unmonitorAll(): Promise<void> {
    for (const service of this.#services) service.unmonitor();
    await this.#saveMonitored(false);
  }

  /** Running unless a process is not; see cloudfoundry/bosh-agent jobsupervisor/monit_job_supervisor.go. */
  jobState(): JobState {
    if (this.#stopped) return 'stopped';
    if (this.#services.some((service) => service.state === 'starting')) return 'starting';
    return this.#services.every((service) => service.state === 'running') ? 'running' : 'failing';
  }

  processes(): ProcessReport[] {
    return this.#services.map((service) => this.#report(service));
  }

  #startServices(): void {
    for (const service of stopOrder(this.#services).reverse().flat()) service.start();
  }

  #check(): void {
    for (const service of this.#services) service.check();
  }

  async #load(): Promise<void> {
    const directory = join(this.#directory, 'job');
    const specs: MonitProcess[] = [];
    for (const name of (await readdir(directory)).sort()) specs.push(...this.#parse(name, await readFile(join(directory, name), 'utf8')));
    const onMissing = (service: Service) => this.#deps.onMissing(service.spec.name);
    this.#services = specs.map((spec) => new Service(spec, { env: this.#deps.env, log: this.#deps.log, onMissing }));
  }

  #parse(name: string, text: string): MonitProcess[] {
    try {
      const { processes, ignored } = parseMonitrc(text);
      if (ignored.length > 0) this.#deps.log.info('monitrc-partly-ignored', { file: name, ignored });
      return processes.map((process) => relocate(process, this.#deps.base));
    } catch (error) {
      throw new Error(`Reading monit file '${name}': ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  async #saveMonitored(monitored: boolean): Promise<void> {
    await writeJsonFile(join(this.#directory, 'state.json'), { monitored });
  }

  #report(service: Service): ProcessReport {
    const pid = service.pid;
    const stat = pid === undefined ? undefined : readStat(pid);
    // Stopped or drained: monit knows nothing of what it does not monitor.
    const state = service.state === 'unmonitored' ? 'unknown' : service.state;
    const upSeconds = Number(readText('/proc/uptime')?.split(' ')[0] ?? 0);
    const seconds = stat === undefined ? 0 : Math.max(0, upSeconds - stat.startTicks / ticksPerSecond);
    const kb = (stat?.residentPages ?? 0) * pageKilobytes;
    const cpu = stat === undefined || seconds === 0 ? 0 : (100 * stat.cpuTicks) / ticksPerSecond / seconds;
    return { name: service.spec.name, state, uptime: { secs: Math.floor(seconds) }, mem: { kb, percent: round((100 * kb * 1024) / totalmem()) }, cpu: { total: round(cpu) } };
  }
}

/** Levels of services: each one's dependants are in an earlier level. */
function stopOrder(services: Service[]): Service[][] {
  const levels: Service[][] = [];
  let rest = services;
  while (rest.length > 0) {
    const needed = new Set(rest.flatMap((service) => service.spec.dependsOn));
    const free = rest.filter((service) => !needed.has(service.spec.name));
    // A circle has no order; its members go together.
    const level = free.length > 0 ? free : rest;
    levels.push(level);
    rest = rest.filter((service) => !level.includes(service));
  }
  return levels;
}

/** Releases name paths below /var/vcap; an agent with another base directory has them there. */
function relocate(process: MonitProcess, base: string): MonitProcess {
  if (base === '/var/vcap') return process;
  const move = (text: string) => text.replaceAll('/var/vcap/', `${base}/`);
  return {
    ...process,
    pidfile: move(process.pidfile),
    start: { ...process.start, command: process.start.command.map(move) },
    stop: { ...process.stop, command: process.stop.command.map(move) },
  };
}

async function hasFile(path: string): Promise<boolean> {
  try {
    await readFile(path);
    return true;
  } catch (error) {
    if (isMissing(error)) return false;
    throw error;
  }
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../core/log';
import { isMissing } from '../agent/files';
import { bootSettingsSchema, type BootSettings } from '../agent/settings';
import { noFaults, readFaults, type Faults } from './faults';
import { SimulatedAgent } from './simulated-agent';

const pollMs = 200;

export interface SimulatorOptions {
  /** State directory of the local cloud. */
  stateDir: string;
  heartbeatIntervalMs: number;
  log: Log;
}

/**
 * Speaks for every VM whose stemcell says `{"agent":"simulated"}`: the CPI writes `<state>/simulated/<cid>.json` for each and removes
 * it with the VM; this looks there five times a second. It holds no state that matters: VMs of a simulator that was started again are
 * as freshly booted, without a spec.
 */
export class Simulator {
  readonly #options: SimulatorOptions;
  readonly #agents = new Map<string, SimulatedAgent>();
  #faults: Faults = noFaults;
  #faultsModifiedMs = 0;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();

  constructor(options: SimulatorOptions) {
    this.#options = options;
  }

  /** VMs that are spoken for. */
  get size(): number {
    return this.#agents.size;
  }

  start(): void {
    const look = () => {
      this.#looking = this.#look().catch((error: unknown) => this.#options.log.warn('simulator-look-failed', { error }));
      this.#looking = this.#looking.finally(() => {
        if (this.#timer !== undefined) this.#timer = setTimeout(look, pollMs);
      });
    };
    this.#timer = setTimeout(look, 0);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    await this.#looking;
    await Promise.all([...this.#agents.values()].map((agent) => agent.stop()));
    this.#agents.clear();
  }

  async #look(): Promise<void> {
    await this.#readFaults();
    const directory = join(this.#options.stateDir, 'simulated');
    const names = await readdir(directory).catch((error: unknown) => {
      if (isMissing(error)) return [];
      throw error;
    });
    const present = new Set(names.filter((name) => name.endsWith('.json')));
    for (const [name, agent] of this.#agents) {
      if (present.has(name)) continue;
      this.#agents.delete(name);
      await agent.stop();
    }
    for (const name of present) {
      if (!this.#agents.has(name)) await this.#add(name, join(directory, name));
    }
  }

  async #add(name: string, path: string): Promise<void> {
    const read = async (): Promise<BootSettings> => bootSettingsSchema.parse(JSON.parse(await readFile(path, 'utf8')));
    try {
      const agent = new SimulatedAgent({ boot: await read(), heartbeatIntervalMs: this.#options.heartbeatIntervalMs, log: this.#options.log.scope({ vm: name }), faults: () => this.#faults, reload: read });
      this.#agents.set(name, agent);
      agent.start();
    } catch (error) {
      // Deleted meanwhile, or unreadable: the others must not wait for it.
      if (!isMissing(error)) this.#options.log.warn('simulated-vm-unreadable', { vm: name, error });
    }
  }

  async #readFaults(): Promise<void> {
    const path = join(this.#options.stateDir, 'simulator.json');
    const modifiedMs = (await stat(path).catch(() => undefined))?.mtimeMs ?? 0;
    if (modifiedMs === this.#faultsModifiedMs) return;
    this.#faults = await readFaults(path);
    this.#faultsModifiedMs = modifiedMs;
  }
}

import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { SwarmFile, SwarmOrder, SwarmReport } from '../../server/local/simulator/swarm-program';

/** Simulated agents in a process of their own; it ends with the one that started it. */
export class SwarmProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #interface: Interface;
  readonly #folder: string;

  private constructor(child: ChildProcess, folder: string) {
    if (!child.stdout) throw new Error('the swarm has no output');
    this.#child = child;
    this.#folder = folder;
    this.#interface = createInterface({ input: child.stdout });
    this.#lines = this.#interface[Symbol.asyncIterator]();
  }

  /** Returns when every agent can be asked. `program` is the bundled simulator. */
  static async start(program: string, file: SwarmFile): Promise<SwarmProcess> {
    const folder = await mkdtemp(join(tmpdir(), 'directorate-swarm-'));
    const path = join(folder, 'swarm.json');
    await writeFile(path, JSON.stringify(file), { mode: 0o600 });
    const swarm = new SwarmProcess(spawn(process.execPath, [program, '--swarm', path], { stdio: ['pipe', 'pipe', 'inherit'] }), folder);
    await swarm.#answer();
    return swarm;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Gives an order and returns the numbers after it. One at a time. */
  async order(order: SwarmOrder): Promise<SwarmReport> {
    this.#child.stdin?.write(`${JSON.stringify(order)}\n`);
    return this.#answer();
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.stdin?.end();
    if (this.#child.exitCode === null) await ended;
    this.#interface.close();
    await rm(this.#folder, { recursive: true, force: true });
  }

  async #answer(): Promise<SwarmReport> {
    const { done, value } = await this.#lines.next();
    if (done) throw new Error('the simulated agents have ended, see above');
    return JSON.parse(value) as SwarmReport;
  }
}

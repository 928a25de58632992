import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createLog, type Log } from '../core/log';
import { NatsAuthApplier } from '../nats/auth-applier';
import { readSubject } from '../nats/credentials';
import { bootVms, haltVms } from './cpi/power';
import { frontDoorProgram, nodeProgram, postgresProgram, type EmbeddedOptions, type Program, type ProgramContext } from './embedded-programs';
import { fileLog } from './file-log';
import { choosePort, prepareInstallation, type Installation } from './installation';
import { checkPortsFree, layoutOf, maxNodes, natsServersOf, nodesOf, postgresPortOf, type Layout } from './layout';
import { ManagedProcess } from './managed-process';
import { findNatsServer } from './nats-binary';
import { prepareNatsCluster, waitForRoutes, type NatsServer } from './nats-server';
import { postgresUrl } from './postgres';
import { claimSupervisor, endStaleProcesses, entryOf, writeProcessList, type ProcessEntry } from './process-list';
import { identify, signalProcess } from './process-table';

interface Part {
  role: ProcessEntry['role'];
  ports: Record<string, number>;
  process: ManagedProcess;
}

/**
 * A running embedded installation: Postgres, a NATS cluster with the applier of its users, director nodes, the front
 * door and the local cloud's VMs. Its processes are named `postgres`, `nats-1`…`nats-3`, `A`, `B`, …, `front-door`.
 */
export class Embedded {
  readonly layout: Layout;
  readonly installation: Installation;
  readonly nodes: { name: string; port: number; hmPort: number; url: string }[];
  readonly url: string;
  readonly databaseUrl: string;
  readonly #options: EmbeddedOptions;
  readonly #parts = new Map<string, Part>();
  readonly #appliers: NatsAuthApplier[] = [];
  readonly #log: Log;
  readonly #releaseClaim: () => void;
  #nats: NatsServer[] = [];
  #stopping: Promise<void> | undefined;

  /** Use {@link startEmbedded}. */
  constructor(options: EmbeddedOptions, made: { layout: Layout; installation: Installation; releaseClaim: () => void }) {
    this.#options = options;
    this.layout = made.layout;
    this.installation = made.installation;
    this.#releaseClaim = made.releaseClaim;
    this.nodes = nodesOf(made.layout, options.nodes ?? 3);
    this.url = `https://127.0.0.1:${made.layout.port}`;
    this.databaseUrl = postgresUrl({ port: postgresPortOf(made.layout), password: made.installation.postgresPassword });
    this.#log = createLog('info', {}, fileLog(join(made.layout.log, 'supervisor.log')));
  }

  get #context(): ProgramContext {
    return { options: this.#options, layout: this.layout, installation: this.installation };
  }

  get nats(): readonly NatsServer[] {
    return this.#nats;
  }

  /** What runs now, as in `run/processes.json`. */
  processes(): ProcessEntry[] {
    const self = identify(process.pid);
    const entries = self === undefined ? [] : [entryOf({ name: 'supervisor', role: 'supervisor', ports: {} }, self, new Date(performance.timeOrigin))];
    for (const [name, { role, ports, process: managed }] of this.#parts) {
      if (managed.identity !== undefined) entries.push(entryOf({ name, role, ports }, managed.identity, managed.startedAt));
    }
    return entries;
  }

  /** Sends a signal, as an operator would; what dies of it is started again. False when the process does not run. */
  kill(name: string, signal: NodeJS.Signals = 'SIGKILL'): boolean {
    return this.#part(name).process.kill(signal);
  }

  /** Stops one process until {@link start} is called. */
  stop(name: string): Promise<void> {
    return this.#part(name).process.stop();
  }

  /** Starts one process that was stopped, and waits until it serves. */
  start(name: string): Promise<void> {
    return this.#part(name).process.start();
  }

  restart(name: string): Promise<void> {
    return this.#part(name).process.restart();
  }

  /** Ends everything: front door and nodes, VMs, NATS, Postgres. The state stays. Further calls wait for the first. */
  stopAll(): Promise<void> {
    this.#stopping ??= this.#stopInOrder();
    return this.#stopping;
  }

  /** Starts everything. After a failure nothing runs. */
  async startAll(): Promise<void> {
    process.once('exit', this.#killAll);
    const { signal } = this.#options;
    const giveUp = () => void this.stopAll();
    signal?.addEventListener('abort', giveUp, { once: true });
    try {
      signal?.throwIfAborted();
      await this.#startInOrder();
      signal?.removeEventListener('abort', giveUp);
    } catch (error) {
      await this.stopAll();
      throw error;
    }
  }

  async #startInOrder(): Promise<void> {
    const step = this.#step;
    const postgresPort = postgresPortOf(this.layout);
    const postgres = this.#add({ name: 'postgres', role: 'postgres', ports: { postgres: postgresPort } }, postgresProgram(this.#context));
    await allEnded([
      step('Postgres', () => postgres.start()),
      step('NATS: 3 servers, mutual TLS', async () => {
        await this.#addNats();
        await allEnded(this.#nats.map((server) => server.process.start()));
        await waitForRoutes(this.#nats, AbortSignal.timeout(20_000));
      }),
    ]);
    this.#assertWanted();
    this.#startAppliers();
    const nodes = this.nodes.map((node) => this.#add({ name: node.name, role: 'node', ports: { https: node.port } }, nodeProgram(this.#context, node)));
    await allEnded([step(`Director: ${nodes.length} nodes`, () => allEnded(nodes.map((node) => node.start()))), bootVms(this.installation.cpi)]);
    const frontDoor = this.#add({ name: 'front-door', role: 'front-door', ports: { https: this.layout.port } }, frontDoorProgram(this.#context));
    await step(`Front door on port ${this.layout.port}`, () => frontDoor.start());
  }

  async #stopInOrder(): Promise<void> {
    const step = this.#step;
    const ofRole = (role: ProcessEntry['role']) => [...this.#parts.values()].filter((part) => part.role === role).map((part) => part.process);
    const stopRole = (role: ProcessEntry['role']) => Promise.all(ofRole(role).map((each) => each.stop()));
    await step('Stopping nodes', async () => {
      await stopRole('node');
      await stopRole('front-door');
    });
    await step('Stopping VMs', () => haltVms(this.installation.cpi));
    await step('Stopping NATS and Postgres', async () => {
      await Promise.all(this.#appliers.map((applier) => applier.stop()));
      await stopRole('nats');
      await stopRole('postgres');
    });
    process.removeListener('exit', this.#killAll);
    writeProcessList(this.layout.run, []);
    this.#releaseClaim();
  }

  async #addNats(): Promise<void> {
    const { layout, installation } = this;
    const binary = await findNatsServer({ env: process.env, cacheDir: join(layout.dataDir, 'nats-server') });
    this.#nats = await prepareNatsCluster({
      binary,
      folder: layout.nats,
      logFolder: layout.log,
      servers: natsServersOf(layout),
      ca: installation.nats.ca.certificate,
      server: installation.nats.server,
      ...this.#subjects(),
      ...(this.#options.natsPingIntervalS === undefined ? {} : { pingIntervalS: this.#options.natsPingIntervalS }),
      onChange: this.#changed,
      onError: this.#failed,
    });
    this.#assertWanted();
    for (const server of this.#nats) this.#parts.set(server.name, { role: 'nats', ports: { ...server.ports }, process: server.process });
  }

  #startAppliers(): void {
    for (const [index, server] of this.#nats.entries()) {
      const applier = new NatsAuthApplier({
        databaseUrl: this.databaseUrl,
        serverName: server.name,
        address: this.#options.natsUrls?.[index] ?? server.url,
        usersFile: server.usersFile,
        ...this.#subjects(),
        findPid: () => Promise.resolve(server.readyPid()),
        monitorUrl: server.monitorUrl,
        log: this.#log,
      });
      applier.start();
      this.#appliers.push(applier);
    }
  }

  #subjects(): { directorSubject: string; hmSubject: string } {
    const subject = (name: string) => readSubject(readFileSync(join(this.layout.certs, `${name}.crt`), 'utf8'));
    return { directorSubject: subject('nats-director'), hmSubject: subject('nats-health-monitor') };
  }

  #add(what: Pick<ProcessEntry, 'name' | 'role' | 'ports'>, program: Program): ManagedProcess {
    this.#assertWanted();
    const logName = what.role === 'node' ? `node-${what.name}` : what.name;
    const logFile = join(this.layout.log, `${logName}.log`);
    const managed = new ManagedProcess({ ...program, name: what.name, logFile, onChange: this.#changed, onError: this.#failed });
    this.#parts.set(what.name, { role: what.role, ports: what.ports, process: managed });
    return managed;
  }

  /** A start that is given up adds nothing more: the stop would not see it. */
  #assertWanted(): void {
    if (this.#stopping !== undefined) throw new Error('stopped while starting');
  }

  #part(name: string): Part {
    const part = this.#parts.get(name);
    if (part === undefined) throw new Error(`there is no process '${name}': choose one of ${[...this.#parts.keys()].join(', ')}`);
    return part;
  }

  readonly #step = <T>(what: string, work: () => Promise<T>): Promise<T> => (this.#options.step ? this.#options.step(what, work) : work());

  readonly #changed = (): void => writeProcessList(this.layout.run, this.processes());

  readonly #failed = (error: unknown): void => this.#log.error('process-failed', { error });

  /** Last resort when this process ends without {@link stopAll}: nothing of it goes on alone. */
  readonly #killAll = (): void => {
    for (const { role, process: managed } of this.#parts.values()) {
      if (managed.identity !== undefined) signalProcess(managed.identity.pid, role === 'postgres' ? 'SIGINT' : 'SIGKILL');
    }
  };
}

/**
 * Makes (or finds) the installation in `dataDir`, ends what an earlier run left behind, and starts everything.
 * Throws, with nothing running, when a part does not start; the error tells why and where its log is.
 */
export async function startEmbedded(options: EmbeddedOptions): Promise<Embedded> {
  const nodeCount = options.nodes ?? 3;
  if (!Number.isInteger(nodeCount) || nodeCount < 1 || nodeCount > maxNodes) throw new Error(`the number of nodes must be 1 to ${maxNodes}`);
  const layout = layoutOf(options.dataDir, await choosePort(options.dataDir, options.port));
  const releaseClaim = claimSupervisor(layout.run);
  try {
    await endStaleProcesses(layout.run);
    await checkPortsFree(layout, nodeCount);
    const installation = await prepareInstallation({
      root: options.root,
      layout,
      nodeCount,
      ...(options.config ? { config: options.config } : {}),
      ...(options.heartbeatIntervalMs === undefined ? {} : { heartbeatIntervalMs: options.heartbeatIntervalMs }),
      ...(options.natsUrls === undefined ? {} : { natsUrls: options.natsUrls }),
    });
    const embedded = new Embedded(options, { layout, installation, releaseClaim });
    await embedded.startAll();
    return embedded;
  } catch (error) {
    releaseClaim();
    throw error;
  }
}

/** Waits for all, also after one failed: what is still starting can then be stopped. Throws the first failure. */
async function allEnded(works: Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(works)) if (result.status === 'rejected') throw result.reason;
}

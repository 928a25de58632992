import { mkdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { Log } from '../../core/log';
import { vmMarker } from '../cpi/supervise-script';
import { blobActions } from './actions/blobs';
import { buildHeartbeat, specActions } from './actions/apply';
import { compileActions, trustedCa } from './actions/compile';
import { diskActions } from './actions/disks';
import { lifecycleActions } from './actions/lifecycle';
import { logActions } from './actions/logs';
import { scriptActions } from './actions/scripts';
import { restoreSettingsTasks, settingsActions } from './actions/update-settings';
import type { AgentContext, SpecStore } from './agent-context';
import { applySpecSchema, emptySpec, type ApplySpec } from './apply-spec';
import { AsyncTasks } from './async-tasks';
import { BlobSource } from './blobs/blobstore';
import { minimalPath } from './command';
import { AgentConnection } from './connection';
import { Dispatcher } from './dispatcher';
import { readJsonFile, writeFileAtomic, writeJsonFile } from './files';
import { createInstaller, replaceLink } from './install';
import { JobSupervisor } from './monit/job-supervisor';
import type { Actions } from './protocol';
import { effectiveBlobstore, effectiveConnection } from './settings';
import { openSettings } from './settings-store';
import { createVitals, type Vitals } from './vitals';

const moveTimeoutMs = 60_000;
const defaultParallel = 5;

export interface AgentOptions {
  /** Base directory: /var/vcap in a VM of its own, else any. */
  base: string;
  /** File that the CPI wrote. */
  settingsPath: string;
  heartbeatIntervalMs: number;
  log: Log;
  /** Value of the marker that every process of the VM carries. */
  vmMarkerValue: string;
  /** Called when the director powers the VM off, after its processes have been stopped. */
  onPowerOff: () => void;
}

/** What makes an agent, without its connection: tests drive it by `dispatcher`. */
export interface AgentParts {
  context: AgentContext;
  dispatcher: Dispatcher;
  vitals: () => Promise<Vitals>;
}

/** The TypeScript agent: serves the BOSH agent protocol for one VM. */
export class Agent {
  readonly #options: AgentOptions;
  #connection: AgentConnection | undefined;
  #parts: AgentParts | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
  }

  /** Boots without the bus: settings, directories, jobs of before. */
  async boot(): Promise<AgentParts> {
    const { base, log } = this.#options;
    await makeDirectories(base);
    const settings = await openSettings(base, this.#options.settingsPath);
    const env = { PATH: minimalPath, HOME: join(base, 'data', 'tmp'), TMPDIR: join(base, 'data', 'tmp'), BOSH_BASE: base, [vmMarker]: this.#options.vmMarkerValue };
    const blobSettings = () => effectiveBlobstore(settings.boot(), settings.update());
    const blobs = new BlobSource(base, blobSettings);
    const jobs = new JobSupervisor({ base, env, log, onMissing: (name) => this.#alert(name) });
    const tasks = new AsyncTasks();
    const context: AgentContext = {
      base,
      log,
      settings,
      specs: await openSpecs(base),
      blobs,
      blobSettings,
      installer: createInstaller({ base, blobs, ca: () => trustedCa({ blobSettings }), parallel: () => parallelDownloads(settings.boot().env.bosh?.parallel) }),
      jobs,
      env,
      publish: (subject, payload) => this.#connection?.publish(subject, payload),
      reconnect: async () => this.#connection?.move(effectiveConnection(settings.boot(), settings.update()), moveTimeoutMs),
      powerOff: () => void this.#powerOff(),
    };
    const vitals = createVitals(base);
    const dispatcher = new Dispatcher({ actions: agentActions(context, vitals), tasks, log });
    await restoreSettingsTasks(base, tasks);
    await jobs.start();
    this.#parts = { context, dispatcher, vitals };
    return this.#parts;
  }

  /** Boots and goes on the bus. */
  async start(): Promise<void> {
    const { context, dispatcher, vitals } = await this.boot();
    const { agent_id } = context.settings.boot();
    this.#connection = new AgentConnection({
      agentId: agent_id,
      dispatcher,
      log: context.log,
      heartbeat: async () => buildHeartbeat(context, await vitals()),
      heartbeatIntervalMs: this.#options.heartbeatIntervalMs,
    });
    this.#connection.start(effectiveConnection(context.settings.boot(), context.settings.update()));
  }

  /** Leaves the bus; the jobs' processes go on. */
  async stop(): Promise<void> {
    this.#parts?.context.jobs.stop();
    await this.#connection?.stop();
  }

  /** A process was found dead: what monit reports as "does not exist" is an alert of severity 1. */
  #alert(process: string): void {
    const boot = this.#parts?.context.settings.boot();
    if (boot === undefined) return;
    const ips = Object.values(boot.networks).flatMap((network) => network.ip ?? []);
    const now = Date.now();
    const alert = {
      id: `${Math.floor(now / 1000)}.${now % 1000}`,
      severity: 1,
      title: `${process} (${ips.join(', ')}) - does not exist - restart`,
      summary: 'process is not running',
      created_at: Math.floor(now / 1000),
    };
    this.#connection?.publish(`hm.agent.alert.${boot.agent_id}`, JSON.stringify(alert));
  }

  /** Lets the answer out first: it is published right after the action returns. */
  async #powerOff(): Promise<void> {
    await new Promise((resolve) => {
      setTimeout(resolve, 100);
    });
    await this.#connection?.flush();
    await this.#parts?.context.jobs.stopAll(10_000).catch(() => undefined);
    await this.stop();
    this.#options.onPowerOff();
  }
}

function agentActions(context: AgentContext, vitals: () => Promise<Vitals>): Actions {
  return {
    ...lifecycleActions(context),
    ...specActions(context, vitals),
    ...scriptActions(context),
    ...compileActions(context),
    ...logActions(context),
    ...blobActions(context),
    ...settingsActions(context),
    ...diskActions(context),
  };
}

async function makeDirectories(base: string): Promise<void> {
  for (const directory of ['bosh/log', 'data/jobs', 'data/packages', 'data/tmp', 'data/sys/log', 'data/sys/run', 'instance/dns', 'jobs', 'packages', 'monit/job']) {
    await mkdir(join(base, directory), { recursive: true });
  }
  await mkdir(join(base, 'data', 'sensitive_blobs'), { recursive: true, mode: 0o700 });
  const sys = join(base, 'sys');
  if ((await readlink(sys).catch(() => undefined)) === undefined) await replaceLink(sys, join('data', 'sys'));
}

async function openSpecs(base: string): Promise<SpecStore> {
  const path = join(base, 'bosh', 'spec.json');
  let current: ApplySpec = (await readJsonFile(path, applySpecSchema)) ?? emptySpec;
  return {
    current: () => current,
    save: async (spec) => {
      await writeJsonFile(path, spec);
      current = spec;
      for (const [name, value] of Object.entries({ id: spec.id, az: spec.az, name: spec.name, deployment: spec.deployment })) {
        await writeFileAtomic(join(base, 'instance', name), value);
      }
    },
  };
}

function parallelDownloads(value: unknown): number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : defaultParallel;
}

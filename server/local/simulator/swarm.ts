import type { NatsConnection, Subscription } from '@nats-io/transport-node';
import { z } from 'zod';
import { connectionOptions, connectOnce } from '../../nats/connect';
import { parseRequest } from '../agent/protocol';
import { simulatedVitals } from './simulated-actions';

export const swarmAgentSchema = z.object({
  id: z.string(),
  /** Who it is, as its heartbeats say it. */
  deployment: z.string(),
  job: z.string(),
  index: z.number(),
  instanceId: z.string(),
});
export type SwarmAgent = z.infer<typeof swarmAgentSchema>;

export interface SwarmOptions {
  urls: readonly string[];
  /** PEM. The certificate's user must be allowed to speak for every agent. */
  ca: string;
  certificate: string;
  privateKey: string;
  agents: readonly SwarmAgent[];
  /** Connections that the agents share; default 4. */
  connections?: number;
  /** Of all agents together; default none. */
  heartbeatsPerSecond?: number;
  /** Looks at every request that is answered. */
  onRequest?: (agentId: string, method: string, args: readonly unknown[]) => void;
}

export interface SwarmStats {
  heartbeats: number;
  /** Requests that were answered, by method. */
  answered: Record<string, number>;
  /** How many agents have which DNS version; 0: none. */
  dnsVersions: Record<number, number>;
  /** How many times an agent was told an older DNS version after a newer one. */
  dnsStepsBack: number;
}

interface Member extends SwarmAgent {
  connection: NatsConnection;
  subscription: Subscription | undefined;
  silent: boolean;
  jobState: string;
  dnsVersion: number;
}

const beatMs = 10;

/**
 * Thousands of agents over a few connections, for measurements and tests: each has its own subject and answers what directors ask agents
 * without a machine to do anything on. Long actions end at once. For agents with connections and states of their own see Simulator.
 */
export class AgentSwarm {
  readonly #options: SwarmOptions;
  readonly #connections: NatsConnection[] = [];
  readonly #members = new Map<string, Member>();
  readonly #stopping = new AbortController();
  readonly #answered = new Map<string, number>();
  #beating: Member[] = [];
  #next = 0;
  #rate: number;
  #owed = 0;
  #beatenAt = 0;
  #heartbeats = 0;
  #stepsBack = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: SwarmOptions) {
    this.#options = options;
    this.#rate = options.heartbeatsPerSecond ?? 0;
  }

  /** Returns when every agent can be asked. */
  async start(): Promise<void> {
    const { urls, ca, certificate, privateKey, connections = 4, agents } = this.#options;
    for (let i = 0; i < connections; i++) {
      const options = connectionOptions({ name: `agents ${i + 1}`, urls, ca, certificate, privateKey });
      this.#connections.push(await connectOnce({ ...options, timeout: 10_000 }, this.#stopping.signal));
    }
    await this.add(agents);
    this.#beatenAt = performance.now();
    this.#timer = setInterval(() => this.#beat(), beatMs);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopping.abort(new Error('the swarm is stopped'));
    await Promise.all(this.#connections.splice(0).map((connection) => connection.close()));
    this.#members.clear();
    this.#beating = [];
  }

  get size(): number {
    return this.#members.size;
  }

  /** More agents; returns when they can be asked. */
  async add(agents: readonly SwarmAgent[]): Promise<void> {
    for (const agent of agents) {
      const connection = this.#connections[this.#members.size % this.#connections.length];
      if (!connection) throw new Error('the swarm is not started');
      const member: Member = { ...agent, connection, subscription: undefined, silent: false, jobState: 'running', dnsVersion: 0 };
      this.#members.set(agent.id, member);
      this.#listen(member);
    }
    this.#choose();
    await this.#flush();
  }

  /** Silent agents take requests and neither answer nor beat, as those of a VM that hangs. */
  setSilent(ids: Iterable<string>, silent = true): void {
    for (const member of this.#find(ids)) member.silent = silent;
    this.#choose();
  }

  /** Absent agents are not connected: NATS says that nobody listens. */
  async setAbsent(ids: Iterable<string>, absent = true): Promise<void> {
    for (const member of this.#find(ids)) {
      if (absent) {
        member.subscription?.unsubscribe();
        member.subscription = undefined;
      } else if (!member.subscription) this.#listen(member);
    }
    this.#choose();
    await this.#flush();
  }

  /** What agents say of their jobs: `running`, `failing`, … */
  setJobState(ids: Iterable<string>, jobState: string): void {
    for (const member of this.#find(ids)) member.jobState = jobState;
  }

  /** Heartbeats per second of all agents together, evenly spread; each agent in its turn. */
  setHeartbeatRate(perSecond: number): void {
    this.#rate = perSecond;
  }

  stats(): SwarmStats {
    const dnsVersions: Record<number, number> = {};
    for (const { dnsVersion } of this.#members.values()) dnsVersions[dnsVersion] = (dnsVersions[dnsVersion] ?? 0) + 1;
    return { heartbeats: this.#heartbeats, answered: Object.fromEntries(this.#answered), dnsVersions, dnsStepsBack: this.#stepsBack };
  }

  /** DNS version of one agent. */
  dnsVersionOf(id: string): number {
    return this.#members.get(id)?.dnsVersion ?? 0;
  }

  #find(ids: Iterable<string>): Member[] {
    return [...ids].flatMap((id) => this.#members.get(id) ?? []);
  }

  #choose(): void {
    this.#beating = [...this.#members.values()].filter((member) => !member.silent && member.subscription);
  }

  async #flush(): Promise<void> {
    await Promise.all(this.#connections.map((connection) => connection.flush()));
  }

  #listen(member: Member): void {
    member.subscription = member.connection.subscribe(`agent.${member.id}`, { callback: (_error, message) => this.#serve(member, message.string()) });
  }

  #serve(member: Member, payload: string): void {
    const request = parseRequest(payload);
    if (!request || member.silent) return;
    const { method, arguments: args } = request;
    this.#options.onRequest?.(member.id, method, args);
    this.#answered.set(method, (this.#answered.get(method) ?? 0) + 1);
    member.connection.publish(request.reply_to, JSON.stringify(this.#answer(member, method, args)));
  }

  #answer(member: Member, method: string, args: readonly unknown[]): object {
    switch (method) {
      case 'sync_dns':
        return { value: this.#syncDns(member, z.number().parse(args[2])) };
      case 'sync_dns_with_signed_url':
        return { value: this.#syncDns(member, z.object({ version: z.number() }).parse(args[0]).version) };
      case 'get_state':
        return { value: stateOf(member, args[0] === 'full') };
      default:
        return Object.hasOwn(answers, method) ? { value: answers[method] } : { exception: { message: `unknown message ${method}` } };
    }
  }

  #syncDns(member: Member, version: number): 'synced' {
    if (version < member.dnsVersion) this.#stepsBack += 1;
    member.dnsVersion = Math.max(member.dnsVersion, version);
    return 'synced';
  }

  /** Sends what is due since the last time, at most a second's worth. */
  #beat(): void {
    const now = performance.now();
    this.#owed = Math.min(this.#owed + ((now - this.#beatenAt) / 1_000) * this.#rate, this.#rate);
    this.#beatenAt = now;
    for (; this.#owed >= 1 && this.#beating.length > 0; this.#owed -= 1) {
      const member = this.#beating[this.#next++ % this.#beating.length];
      if (!member || member.connection.isClosed()) continue;
      member.connection.publish(`hm.agent.heartbeat.${member.id}`, heartbeatOf(member));
      this.#heartbeats += 1;
    }
  }
}

/** Values of actions without effects here. */
const answers: Record<string, unknown> = {
  ping: 'pong', info: { api_version: 1 }, list_disk: [], prepare: 'prepared', apply: 'applied', start: 'started', stop: 'stopped', drain: 0, run_script: {}, update_settings: 'ok',
  mount_disk: {}, unmount_disk: {}, add_persistent_disk: {}, remove_persistent_disk: {}, delete_arp_entries: {}, shutdown: '', cancel_task: 'canceled',
};

const vitalsText = JSON.stringify(simulatedVitals);
const processCount = 3;

function heartbeatOf({ deployment, job, index, jobState, instanceId }: Member): string {
  return `{"deployment":${JSON.stringify(deployment)},"job":${JSON.stringify(job)},"index":${index},"job_state":"${jobState}","vitals":${vitalsText},"node_id":"${instanceId}","number_of_processes":${processCount}}`;
}

function stateOf({ id, deployment, job, index, jobState, instanceId }: Member, full: boolean): object {
  const processes = Array.from({ length: processCount }, (_, i) => ({ name: `process-${i + 1}`, state: jobState, uptime: { secs: 60 }, mem: { kb: 10_240, percent: 0.1 }, cpu: { total: 0.1 } }));
  return { deployment, job: { name: job, templates: [] }, index, id: instanceId, name: job, agent_id: id, job_state: jobState, processes, vm: { name: `vm-${id}` }, networks: {}, ...(full ? { vitals: simulatedVitals } : {}) };
}

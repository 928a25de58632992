import { randomUUID } from 'node:crypto';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { z } from 'zod';
import type { AgentCertificate } from '../../server/nats/credentials';

const requestShape = z.object({ method: z.string(), arguments: z.array(z.unknown()), reply_to: z.string() });
const settingsShape = z.object({ mbus: z.object({ urls: z.array(z.string()), cert: z.object({ ca: z.string(), certificate: z.string(), private_key: z.string() }) }) });

export interface MbusSettings {
  urls: string[];
  cert: AgentCertificate;
}

/**
 * An agent that minds `update_settings` as the stock one does: it answers with a task, keeps the settings, exits, and is started again
 * with them; the task's result is there when it is back. It exists only on NATS, over real TLS.
 */
export class MovingAgent {
  readonly id: string;
  /** What it was told last. */
  settings: MbusSettings;
  /** Methods asked for. */
  readonly received: string[] = [];
  /** Time between exit and restart, ms. */
  restartMs = 50;
  #connection: NatsConnection | undefined;
  /** Counts starts: one of an earlier life does nothing more. */
  #life = 0;
  readonly #finished = new Map<string, unknown>();

  constructor(id: string, settings: MbusSettings) {
    this.id = id;
    this.settings = settings;
  }

  /** Host and port of the server that it is connected to. */
  get server(): string | undefined {
    return this.#connection?.isClosed() === false ? this.#connection.getServer() : undefined;
  }

  count(method: string): number {
    return this.received.filter((one) => one === method).length;
  }

  /** Boots; goes on trying to connect until it is stopped. */
  async start(): Promise<void> {
    const life = ++this.#life;
    while (life === this.#life) {
      try {
        const { urls, cert } = this.settings;
        const connection = await connect({
          servers: urls, ignoreClusterUpdates: true, maxReconnectAttempts: -1, reconnectTimeWait: 100, ignoreAuthErrorAbort: true, timeout: 2_000,
          tls: { ca: cert.ca, cert: cert.certificate, key: cert.private_key },
        });
        if (life !== this.#life) return await connection.close();
        this.#connection = connection;
        connection.subscribe(`agent.${this.id}`, { callback: (_error, message) => this.#answer(message.json(), connection) });
        connection.publish(`hm.agent.heartbeat.${this.id}`, '{}');
        return await connection.flush();
      } catch {
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  /** The VM is down. */
  async stop(): Promise<void> {
    this.#life += 1;
    await this.#connection?.close();
    this.#connection = undefined;
  }

  /** As the health monitor wants it; lost when not connected. */
  beat(): void {
    if (this.#connection?.isClosed() === false) this.#connection.publish(`hm.agent.heartbeat.${this.id}`, '{}');
  }

  #answer(message: unknown, connection: NatsConnection): void {
    const { method, arguments: args, reply_to: replyTo } = requestShape.parse(message);
    this.received.push(method);
    connection.publish(replyTo, JSON.stringify(this.#perform(method, args)));
  }

  #perform(method: string, args: unknown[]): unknown {
    switch (method) {
      case 'ping': return { value: 'pong' };
      case 'get_state': return { value: { job_state: 'running' } };
      case 'update_settings': return this.#update(args);
      case 'get_task': return this.#finished.has(String(args[0])) ? { value: this.#finished.get(String(args[0])) } : { exception: { message: `Task with id ${String(args[0])} could not be found` } };
      default: return { exception: { message: `unknown message ${method}` } };
    }
  }

  #update(args: unknown[]): unknown {
    const { mbus } = settingsShape.parse(args[0]);
    const taskId = randomUUID();
    if (JSON.stringify(mbus) === JSON.stringify(this.settings)) {
      this.#finished.set(taskId, 'updated');
      return { value: 'updated' };
    }
    this.settings = mbus;
    setTimeout(() => void this.#restart(taskId), 20);
    return { value: { agent_task_id: taskId, state: 'running' } };
  }

  async #restart(taskId: string): Promise<void> {
    await this.stop();
    const life = this.#life;
    await new Promise((resolve) => setTimeout(resolve, this.restartMs));
    if (life !== this.#life) return;
    this.#finished.set(taskId, 'updated');
    await this.start();
  }
}

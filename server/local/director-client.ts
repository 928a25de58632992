import { request } from 'node:https';
import { setTimeout as wait } from 'node:timers/promises';
import { z } from 'zod';

export interface DirectorClientOptions {
  /** `https://host:port` */
  url: string;
  /** PEM of the CA of its certificate. */
  ca: string;
  client: string;
  clientSecret: string;
}

interface Body {
  contentType: string;
  content: string | Buffer;
}

interface Answer {
  status: number;
  location: string | undefined;
  text: string;
}

const taskSchema = z.object({ id: z.number(), state: z.string(), description: z.string(), result: z.string().nullish() });
export type TaskSummary = z.infer<typeof taskSchema>;

const eventSchema = z.object({ time: z.number(), stage: z.string(), task: z.string(), index: z.number(), total: z.number(), state: z.string() });
const errorEventSchema = z.object({ error: z.object({ code: z.number(), message: z.string() }) });

const activeStates = new Set(['queued', 'processing', 'cancelling']);
const pollMs = 250;

/** The director's REST API as the `bosh` CLI uses it: one connection per request, network errors tried again, tasks polled. */
export class DirectorClient {
  readonly #options: DirectorClientOptions;

  constructor(options: DirectorClientOptions) {
    this.#options = options;
  }

  /** The parsed body of a GET. Throws with the director's own words when it refuses. */
  async get<T>(path: string, schema: z.ZodType<T>): Promise<T> {
    const answer = await this.#ask('GET', path);
    if (answer.status !== 200) throw refused('GET', path, answer);
    return schema.parse(JSON.parse(answer.text));
  }

  /** A POST that is done when it is answered. */
  async post(path: string, body: Body): Promise<void> {
    const answer = await this.#ask('POST', path, body);
    if (answer.status < 200 || answer.status > 299) throw refused('POST', path, answer);
  }

  /** A POST that starts a task: returns the task's id. */
  async startTask(path: string, body: Body): Promise<number> {
    const answer = await this.#ask('POST', path, body);
    const id = /\/tasks\/(\d+)$/.exec(answer.location ?? '')?.[1];
    if ((answer.status !== 302 && answer.status !== 303) || id === undefined) throw refused('POST', path, answer);
    return Number(id);
  }

  /** Follows a task to its end; `onEvent` gets each stage and step once. Throws when it does not end `done`. */
  async followTask(id: number, onEvent: (what: { stage: string; task: string; state: string }) => void = () => undefined): Promise<void> {
    let offset = 0;
    let problem = '';
    for (;;) {
      const task = await this.get(`/tasks/${id}`, taskSchema);
      const output = await this.#ask('GET', `/tasks/${id}/output?type=event`, undefined, { range: `bytes=${offset}-` });
      const added = output.status === 206 ? output.text : output.status === 200 ? Buffer.from(output.text).subarray(offset).toString() : '';
      const complete = added.slice(0, added.lastIndexOf('\n') + 1);
      offset += Buffer.byteLength(complete);
      for (const line of complete.split('\n').filter(Boolean)) {
        const value: unknown = JSON.parse(line);
        const event = eventSchema.safeParse(value);
        if (event.success) onEvent(event.data);
        const failure = errorEventSchema.safeParse(value);
        if (failure.success) problem = failure.data.error.message;
      }
      if (!activeStates.has(task.state)) {
        if (task.state !== 'done') throw new Error(`task ${id} (${task.description}) ended in state ${task.state}: ${problem || (task.result ?? '')}`);
        return;
      }
      await wait(pollMs);
    }
  }

  async activeTasks(deployment: string): Promise<TaskSummary[]> {
    return this.get(`/tasks?state=queued,processing,cancelling&deployment=${encodeURIComponent(deployment)}&verbose=2`, z.array(taskSchema));
  }

  /** One request; a network error is tried again, five times in all, half a second apart. */
  async #ask(method: string, path: string, body?: Body, headers: Record<string, string> = {}): Promise<Answer> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#askOnce(method, path, body, headers);
      } catch (error) {
        if (attempt >= 5) throw error;
        await wait(500);
      }
    }
  }

  #askOnce(method: string, path: string, body: Body | undefined, headers: Record<string, string>): Promise<Answer> {
    const { url, ca, client, clientSecret } = this.#options;
    return new Promise((resolve, reject) => {
      const asking = request(new URL(path, url), {
        method,
        ca,
        agent: false,
        auth: `${client}:${clientSecret}`,
        headers: { ...headers, ...(body ? { 'content-type': body.contentType, 'content-length': Buffer.byteLength(body.content) } : {}) },
      });
      asking.once('error', reject);
      asking.once('response', (response) => {
        const parts: Buffer[] = [];
        response.on('data', (part: Buffer) => parts.push(part));
        response.once('error', reject);
        response.once('end', () => resolve({ status: response.statusCode ?? 0, location: response.headers.location, text: Buffer.concat(parts).toString() }));
      });
      asking.end(body?.content);
    });
  }
}

function refused(method: string, path: string, answer: Answer): Error {
  const described = z.object({ code: z.number(), description: z.string() }).safeParse(parseJson(answer.text));
  return new Error(`${method} ${path}: ${answer.status} ${described.success ? described.data.description : answer.text.slice(0, 500)}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

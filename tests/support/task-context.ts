import type { Database, Tx } from '../../db/client';
import type { Blobstore } from '../../server/blobstore/blobstore';
import { systemClock } from '../../server/core/clock';
import { describeError } from '../../server/core/errors';
import { TaskCancelled, TaskLost, type TaskContext } from '../../server/tasks/context';
import { SecretTexts } from '../../server/tasks/secret-texts';
import { createStages, errorLine } from '../../server/tasks/stages';

/**
 * When an attempt ends before its work does. Every call of the task's context, blobstore and cloud is a point, before and after it
 * takes effect; at the chosen one the attempt dies:
 * - `killed`: as by kill -9: nothing that it does afterwards has any effect;
 * - `lost`: another node has taken the task over: the context refuses everything, the outside world still answers.
 */
export interface Fate {
  /** May be changed while the attempt runs. */
  dieAt: number;
  how: 'killed' | 'lost';
}

/** One task over several attempts, with its checkpoint and events in memory and its writes in a real database. */
export interface TestTask {
  /** Runs one attempt to its end; the result or the error. `points` counts what could have been its last moment. */
  attempt(work: (ctx: TaskContext, points: Points) => Promise<string>, fate?: Fate): Promise<Attempt>;
  /** Lines of the event stream so far. */
  events(): Record<string, unknown>[];
  debug(): string;
  /** Lines of the result stream so far. */
  results(): string[];
  cancel(): void;
}

export interface Attempt {
  result: string | undefined;
  error: unknown;
  died: boolean;
  points: number;
}

/** Passed by everything that has effects. */
export interface Points {
  /** Throws when the attempt is dead; `own` are the calls of the task's context, the others are the outside world's. */
  pass(own: boolean): void;
}

class Killed extends Error {}

let lastId = 0;

export function testTask(db: Database): TestTask {
  const id = ++lastId;
  const checkpoint = new Map<string, string>();
  let events = '';
  let debug = '';
  const results: string[] = [];
  let attempts = 0;
  const cancelled = new AbortController();
  const append = async (line: string) => void (events += line);
  return {
    events: () => events.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line) as Record<string, unknown>),
    debug: () => debug,
    results: () => results,
    cancel: () => cancelled.abort(new TaskCancelled(id)),
    attempt: async (work, fate) => {
      const epoch = ++attempts;
      const points = countPoints(id, epoch, fate);
      const ctx = createContext({ id, epoch, db, checkpoint, points, append, results, log: (text) => void (debug += `${text}\n`), cancelled: cancelled.signal });
      try {
        return { result: await work(ctx, points), error: undefined, died: points.dead(), points: points.count() };
      } catch (error) {
        if (!points.dead()) await append(errorLine(systemClock.now(), describeError(error)));
        return { result: undefined, error, died: points.dead(), points: points.count() };
      }
    },
  };
}

interface CountedPoints extends Points {
  count(): number;
  dead(): boolean;
}

function countPoints(taskId: number, epoch: number, fate: Fate | undefined): CountedPoints {
  let count = 0;
  let dead = false;
  return {
    count: () => count,
    dead: () => dead,
    pass: (own) => {
      count++;
      if (!fate || count < fate.dieAt) return;
      dead = true;
      if (fate.how === 'killed') throw new Killed('the process is dead');
      if (own) throw new TaskLost(taskId, epoch);
    },
  };
}

interface Parts {
  id: number;
  epoch: number;
  db: Database;
  checkpoint: Map<string, string>;
  points: CountedPoints;
  append: (line: string) => Promise<void>;
  results: string[];
  log: (text: string) => void;
  cancelled: AbortSignal;
}

function createContext(parts: Parts): TaskContext {
  const { id, epoch, db, checkpoint, points, append, results, log, cancelled } = parts;
  const around = async <T>(work: () => Promise<T>): Promise<T> => {
    points.pass(true);
    const result = await work();
    points.pass(true);
    return result;
  };
  const secrets = new SecretTexts();
  const note = (text: string) => log(secrets.clean(text));
  const make = (cancellable: boolean): TaskContext => {
    const check = async () => {
      points.pass(true);
      if (cancellable && cancelled.aborted) throw cancelled.reason;
    };
    return {
      taskId: id, epoch, attempt: epoch, user: 'admin', deployment: undefined, contextId: '', clock: systemClock,
      signal: cancellable ? cancelled : new AbortController().signal,
      secrets,
      log: { debug: note, info: note, warn: note, error: note },
      stages: createStages(append, () => systemClock.now(), secrets),
      result: async (line) => void results.push(line.trimEnd()),
      cpiOutput: () => undefined,
      fence: check,
      checkpoint: check,
      write: <T>(work: (tx: Tx) => Promise<T>) => around(() => db.transaction(work)),
      remembered: (key) => {
        const text = checkpoint.get(key);
        return text === undefined ? undefined : (JSON.parse(text) as unknown);
      },
      remember: (key, value) =>
        around(async () => {
          if (value === undefined) checkpoint.delete(key);
          else checkpoint.set(key, JSON.stringify(value));
        }),
      lock: async () => {
        await check();
        return async () => undefined;
      },
      uncancellable: () => make(false),
    };
  };
  return make(true);
}

/** A blobstore of which every change is a point at which the attempt may die. */
export function mortalBlobstore(blobs: Blobstore, points: Points): Blobstore {
  const around = async <T>(work: () => Promise<T>): Promise<T> => {
    points.pass(false);
    const result = await work();
    points.pass(false);
    return result;
  };
  return { ...blobs, put: (content, id) => around(() => blobs.put(content, id)), delete: (id) => around(() => blobs.delete(id)) };
}

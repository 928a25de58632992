import { code, DirectorError } from '../core/errors';
import type { TaskContext } from '../tasks/context';
import type { TaskType } from './task-type';

/** Everything a worker can run, with its dependencies bound. */
export interface Registry {
  perform(ctx: TaskContext, type: string, payload: unknown): Promise<string>;
  onNodeLoss(type: string): 'converge' | 'fail';
  types(): string[];
}

interface BoundTaskType {
  type: string;
  onNodeLoss: 'converge' | 'fail';
  perform(ctx: TaskContext, payload: unknown): Promise<string>;
}

/** Binds a task type to its dependencies; its payload is checked when a task of it starts. */
export function bind<P, D>(taskType: TaskType<P, D>, deps: D): BoundTaskType {
  return {
    type: taskType.type,
    onNodeLoss: taskType.onNodeLoss,
    perform: (ctx, payload) => taskType.perform(ctx, deps, taskType.payload.parse(payload)),
  };
}

/** The catalogue. A task of a type that this version does not know ends in `error`. */
export function createRegistry(bound: readonly BoundTaskType[]): Registry {
  const byType = new Map(bound.map((one) => [one.type, one]));
  return {
    perform: async (ctx, type, payload) => {
      const found = byType.get(type);
      if (!found) throw new DirectorError(code.generic, `This director node cannot run tasks of type '${type}': update it`);
      return found.perform(ctx, payload);
    },
    onNodeLoss: (type) => byType.get(type)?.onNodeLoss ?? 'converge',
    types: () => [...byType.keys()],
  };
}

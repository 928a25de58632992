import { z } from 'zod';

/**
 * The event stream of a task as a tree: stages in the order of their start, each with its steps.
 * Lines: see `tasks/stages.ts`. What is no such line is left out.
 */
const step = z.object({
  name: z.string(),
  index: z.int(),
  state: z.enum(['working', 'done', 'failed']),
  /** Percent. */
  progress: z.number(),
  /** The last status text, or the error of a failed step. */
  note: z.string().optional(),
  startedAt: z.date(),
  endedAt: z.date().optional(),
  /** Byte offset of its first line in the event stream. */
  at: z.int(),
});
export type StageStep = z.infer<typeof step>;

const stage = z.object({
  name: z.string(),
  tags: z.array(z.string()),
  /** Steps expected; undefined when not known beforehand. */
  total: z.int().optional(),
  state: z.enum(['working', 'done', 'failed']),
  steps: z.array(step),
});
export type TaskStage = z.infer<typeof stage>;

export const taskStages = z.object({
  stages: z.array(stage),
  notes: z.array(z.object({ kind: z.enum(['warning', 'deprecation', 'error']), message: z.string(), code: z.int().optional(), time: z.date(), at: z.int() })),
});
export type TaskStages = z.infer<typeof taskStages>;

const line = z.object({
  time: z.number(),
  stage: z.string().optional(),
  tags: z.array(z.string()).default([]),
  total: z.number().nullish(),
  task: z.string().optional(),
  index: z.number().default(0),
  state: z.string().optional(),
  progress: z.number().nullish(),
  data: z.object({ status: z.string().nullish(), error: z.unknown() }).partial().nullish(),
  type: z.string().optional(),
  message: z.string().optional(),
  error: z.object({ code: z.number().optional(), message: z.string() }).optional(),
});
type Line = z.infer<typeof line>;

/** Reads the event stream so far; in that of a task that has `ended` nothing is at work any more. */
export function parseStages(bytes: Buffer, ended: boolean): TaskStages {
  const found: TaskStages = { stages: [], notes: [] };
  const byName = new Map<string, TaskStage>();
  const open = new Map<string, StageStep>();
  for (let at = 0; at < bytes.length; ) {
    const newline = bytes.indexOf(10, at);
    const end = newline < 0 ? bytes.length : newline;
    const parsed = parseLine(bytes.toString('utf8', at, end));
    if (parsed) addLine(parsed, at, { found, byName, open });
    at = end + 1;
  }
  for (const one of found.stages) one.state = stateOf(one, ended);
  return found;
}

interface Reading {
  found: TaskStages;
  byName: Map<string, TaskStage>;
  /** Steps under way by stage and name. */
  open: Map<string, StageStep>;
}

function addLine(parsed: Line, at: number, reading: Reading): void {
  const time = new Date(parsed.time * 1000);
  if (parsed.error) reading.found.notes.push({ kind: 'error', message: parsed.error.message, code: parsed.error.code, time, at });
  else if (parsed.message !== undefined && (parsed.type === 'warning' || parsed.type === 'deprecation')) reading.found.notes.push({ kind: parsed.type, message: parsed.message, time, at });
  else if (parsed.stage !== undefined && parsed.task !== undefined) addStep(parsed, { stage: parsed.stage, task: parsed.task, time, at }, reading);
}

function addStep(parsed: Line, of: { stage: string; task: string; time: Date; at: number }, reading: Reading): void {
  const stageKey = JSON.stringify([of.stage, parsed.tags]);
  const stepKey = JSON.stringify([stageKey, of.task]);
  let owner = reading.byName.get(stageKey);
  if (!owner) {
    owner = { name: of.stage, tags: parsed.tags, total: parsed.total ?? undefined, state: 'working', steps: [] };
    reading.byName.set(stageKey, owner);
    reading.found.stages.push(owner);
  }
  owner.total = parsed.total ?? owner.total;
  let current = reading.open.get(stepKey);
  if (!current || parsed.state === 'started') {
    current = { name: of.task, index: parsed.index, state: 'working', progress: 0, startedAt: of.time, at: of.at };
    // A step that another node does again takes the place of the attempt that was interrupted.
    const earlier = owner.steps.findIndex((one) => one.name === of.task);
    if (earlier >= 0) owner.steps.splice(earlier, 1);
    owner.steps.push(current);
    reading.open.set(stepKey, current);
  }
  current.progress = parsed.progress ?? current.progress;
  current.note = noteOf(parsed) ?? current.note;
  if (parsed.state === 'finished' || parsed.state === 'failed') {
    current.state = parsed.state === 'finished' ? 'done' : 'failed';
    if (parsed.state === 'finished') current.note = undefined;
    current.endedAt = of.time;
    reading.open.delete(stepKey);
  }
}

function noteOf(parsed: Line): string | undefined {
  const error = parsed.data?.error;
  if (error !== undefined && error !== null) return typeof error === 'string' ? error : JSON.stringify(error);
  return parsed.data?.status ?? undefined;
}

function stateOf(one: TaskStage, ended: boolean): TaskStage['state'] {
  if (one.steps.some((candidate) => candidate.state === 'working')) return ended ? 'failed' : 'working';
  if (one.steps.some((candidate) => candidate.state === 'failed')) return 'failed';
  return !ended && one.total !== undefined && one.steps.length < one.total ? 'working' : 'done';
}

function parseLine(text: string): Line | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return line.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

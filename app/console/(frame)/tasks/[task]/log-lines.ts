/** A line of an output stream, ready to be shown. */
export interface LogLine {
  /** Byte offset of its start: its permanent address. */
  at: number;
  text: string;
  /** Epoch ms; absent for lines that continue another one. */
  time: number | undefined;
  level: Level | undefined;
  message: string;
  event: EventLine | undefined;
}

export type Level = 'debug' | 'info' | 'warn' | 'error';
export const levels: readonly Level[] = ['debug', 'info', 'warn', 'error'];

/** A line of the event stream. */
export interface EventLine {
  kind: 'started' | 'in_progress' | 'finished' | 'failed' | 'warning' | 'deprecation' | 'error';
  stage: string;
  task: string;
  note: string;
}

/** Whole lines as they came, from byte `start` to `end` of the stream. */
export interface LogChunk {
  start: number;
  end: number;
  lines: LogLine[];
}

const encoder = new TextEncoder();
const letters: Record<string, Level> = { D: 'debug', I: 'info', W: 'warn', E: 'error', F: 'error' };
const head = /^([DIWEF]), \[(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?)\S* #\d+\] \[.*?\]\s+[A-Z]+ -- \S+: ?/;

/** Splits text that begins at byte `start`; `stream` decides how lines are read. */
export function toChunk(stream: string, start: number, end: number, text: string): LogChunk {
  const plain = encoder.encode(text).length === text.length;
  const lines: LogLine[] = [];
  let at = start;
  for (const line of (text.endsWith('\n') ? text.slice(0, -1) : text).split('\n')) {
    lines.push(stream === 'event' ? eventLine(at, line) : plainLine(at, line));
    at += (plain ? line.length : encoder.encode(line).length) + 1;
  }
  return { start, end, lines };
}

function plainLine(at: number, text: string): LogLine {
  const found = head.exec(text);
  if (!found) return { at, text, time: undefined, level: undefined, message: text, event: undefined };
  return { at, text, time: Date.parse(`${found[2]?.slice(0, 23)}Z`), level: letters[found[1] ?? 'I'], message: text.slice(found[0].length), event: undefined };
}

function eventLine(at: number, text: string): LogLine {
  const event = parseEvent(text);
  return { at, text, time: event?.time, level: undefined, message: event ? [event.line.stage, event.line.task, event.line.kind, event.line.note].join(' ') : text, event: event?.line };
}

function parseEvent(text: string): { time: number; line: EventLine } | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const of = fields(value);
  const data = fields(of.data);
  const error = fields(of.error);
  const time = typeof of.time === 'number' ? of.time * 1000 : 0;
  if (typeof error.message === 'string') return { time, line: { kind: 'error', stage: '', task: '', note: error.message } };
  if (of.type === 'warning' || of.type === 'deprecation') return { time, line: { kind: of.type, stage: '', task: '', note: typeof of.message === 'string' ? of.message : '' } };
  if (typeof of.stage !== 'string' || (of.state !== 'started' && of.state !== 'in_progress' && of.state !== 'finished' && of.state !== 'failed')) return undefined;
  const tags = Array.isArray(of.tags) ? of.tags.join(', ') : '';
  const note = typeof data.error === 'string' ? data.error : typeof data.status === 'string' ? data.status : '';
  return { time, line: { kind: of.state, stage: tags === '' ? of.stage : `${of.stage} ${tags}`, task: typeof of.task === 'string' ? of.task : '', note } };
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}

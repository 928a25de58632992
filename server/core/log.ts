/** Structured log: one JSON line per event on stderr, kebab-case event names, fields, nested scopes. */
export interface Log {
  debug(event: string, fields?: Record<string, unknown>): void;
  info(event: string, fields?: Record<string, unknown>): void;
  warn(event: string, fields?: Record<string, unknown>): void;
  error(event: string, fields?: Record<string, unknown>): void;
  /** A log whose every line carries these fields. */
  scope(fields: Record<string, unknown>): Log;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';
const rank: Record<LogLevel, number> = { debug: 0, info: 1, warn: 2, error: 3 };
const secretKey = /pass(word)?$|secret|private_key|credential|token$|authorization|^cert$/i;

/** Makes a log that writes to `write` (default: stderr) what is at least `level`. */
export function createLog(level: LogLevel, fields: Record<string, unknown> = {}, write: (line: string) => void = (line) => void process.stderr.write(line)): Log {
  const emit = (at: LogLevel, event: string, more?: Record<string, unknown>) => {
    if (rank[at] < rank[level]) return;
    write(JSON.stringify({ time: new Date().toISOString(), level: at, event, ...fields, ...more }, redact) + '\n');
  };
  return {
    debug: (event, more) => emit('debug', event, more),
    info: (event, more) => emit('info', event, more),
    warn: (event, more) => emit('warn', event, more),
    error: (event, more) => emit('error', event, more),
    scope: (more) => createLog(level, { ...fields, ...more }, write),
  };
}

export const silentLog: Log = createLog('error', {}, () => undefined);

function redact(key: string, value: unknown): unknown {
  if (secretKey.test(key) && typeof value === 'string') return '<redacted>';
  if (value instanceof Error) return { message: value.message, stack: value.stack, ...(value.cause === undefined ? {} : { cause: value.cause }) };
  if (typeof value === 'bigint') return value.toString();
  return value;
}

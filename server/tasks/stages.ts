import { describeError } from '../core/errors';
import type { Stage, StageProgress, Stages } from './context';
import { isInterruption } from './interruption';
import { SecretTexts } from './secret-texts';

/**
 * The event stream: one JSON line per change of a stage's task. Key order and value types are part of the wire format;
 * the CLI panics on anything else (cloudfoundry/bosh-cli ui/task, cloudfoundry/bosh src/bosh-director/lib/bosh/director/event_log.rb).
 */
interface StageLine {
  time: number;
  stage: string;
  tags: readonly string[];
  total: number | null;
  task: string;
  index: number;
  state: 'started' | 'in_progress' | 'finished' | 'failed';
  progress: number;
  data?: { status?: string; error?: string };
}

/** Appends one line (with its newline) to the event stream. */
type AppendLine = (line: string) => Promise<void>;

/** `secrets`: what errors and warnings must not show. */
export function createStages(append: AppendLine, nowMs: () => number, secrets: SecretTexts = new SecretTexts()): Stages {
  const write = (value: object) => append(`${JSON.stringify(value)}\n`);
  const seconds = () => Math.floor(nowMs() / 1000);
  return {
    stage: (name, total, tags = []) => createStage({ name, total, tags }, { write, seconds, secrets }),
    warning: (message) => write({ time: seconds(), type: 'warning', message: secrets.clean(message) }),
    deprecation: (message) => write({ time: seconds(), type: 'deprecation', message: secrets.clean(message) }),
  };
}

interface StageOutput {
  write: (value: object) => Promise<void>;
  seconds: () => number;
  secrets: SecretTexts;
}

function createStage(of: { name: string; total: number | null; tags: readonly string[] }, { write, seconds, secrets }: StageOutput): Stage {
  let started = 0;
  return {
    async run<T>(task: string, work: (progress: StageProgress) => Promise<T>): Promise<T> {
      const index = ++started;
      let progress = 0;
      const line = (state: StageLine['state'], data?: StageLine['data']): StageLine => ({
        time: seconds(), stage: of.name, tags: of.tags, total: of.total, task, index, state, progress, ...(data ? { data } : {}),
      });
      await write(line('started'));
      try {
        const result = await work({
          advance: async (percent, status) => {
            progress = Math.min(100, progress + percent);
            await write(line('in_progress', { status }));
          },
        });
        progress = 100;
        await write(line('finished'));
        return result;
      } catch (error) {
        progress = 100;
        // What an interruption leaves open is closed by the attempt that goes on.
        if (!isInterruption(error)) await write(line('failed', { error: secrets.clean(describeError(error).message) }));
        throw error;
      }
    },
  };
}

/** The line that ends a failed or cancelled task. */
export function errorLine(timeMs: number, error: { code: number; message: string }): string {
  return `${JSON.stringify({ time: Math.floor(timeMs / 1000), error })}\n`;
}

/**
 * Lines that close what a lost attempt left open: each stage task that started and never ended, and a warning that says who went on.
 * `text` is the event stream so far.
 */
export function takeoverLines(text: string, timeMs: number, message: string): string {
  const open = new Map<string, StageLine>();
  for (const raw of text.split('\n')) {
    const line = parseStageLine(raw);
    if (!line) continue;
    const key = JSON.stringify([line.stage, line.tags, line.task]);
    if (line.state === 'finished' || line.state === 'failed') open.delete(key);
    else open.set(key, line);
  }
  const time = Math.floor(timeMs / 1000);
  const closing = [...open.values()].map((line) => ({ ...line, time, state: 'failed', progress: 100, data: { error: `Interrupted: ${message}` } }));
  return [...closing, { time, type: 'warning', message }].map((line) => `${JSON.stringify(line)}\n`).join('');
}

function parseStageLine(raw: string): StageLine | undefined {
  if (!raw.startsWith('{')) return undefined;
  const value: unknown = JSON.parse(raw);
  return typeof value === 'object' && value !== null && 'stage' in value && 'state' in value ? (value as StageLine) : undefined;
}

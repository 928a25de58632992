import { z } from 'zod';
import { ConfigError } from '../core/config';
import { commands, refusedCommands, type Command, type SchedulerSettings } from './commands';
import { parseSchedule, type Schedule } from './schedule';

/** An entry of the schedule, ready to be carried out. */
export interface ScheduleEntry {
  /** The command, with `#2` and so on behind it for repeats. */
  name: string;
  command: string;
  runs: Command;
  /** Cron as it was given. */
  schedule: string;
  times: Schedule;
  params: Record<string, unknown>;
  missed: 'skip' | 'run_once';
}

/**
 * The default entries, each unless the configuration has entries of its own with that command, then the configured ones. A `schedule`
 * of null is an entry that takes the default one's place and does nothing.
 * Throws ConfigError for an unknown command, a cron that cannot be read and params that the command does not know.
 */
export function scheduleEntries(settings: SchedulerSettings, now: Date): ScheduleEntry[] {
  const configured = settings.scheduled_jobs.map((job, index) => ({ ...job, key: `scheduler.scheduled_jobs[${index}]` }));
  const replaced = new Set(configured.map((job) => job.command));
  const defaults = [...commands].flatMap(([command, { schedule }]) => {
    const text = schedule(settings);
    return replaced.has(command) || text === undefined ? [] : [{ command, schedule: text, params: [], missed: undefined, key: 'scheduler' }];
  });
  const counts = new Map<string, number>();
  return [...defaults, ...configured].flatMap(({ command, schedule, params, missed, key }) => {
    const runs = findCommand(command, key);
    if (schedule === null) return [];
    const count = (counts.get(command) ?? 0) + 1;
    counts.set(command, count);
    return [{
      name: count === 1 ? command : `${command}#${count}`, command, runs, schedule,
      times: readTimes(schedule, now, `${key}: ${command}`),
      params: readParams(runs, { ...runs.defaults(settings), ...params[0] }, `${key}: ${command}`),
      missed: missed ?? settings.missed,
    }];
  });
}

function findCommand(name: string, key: string): Command {
  const found = commands.get(name);
  if (found) return found;
  const why = refusedCommands.get(name);
  if (why !== undefined) throw new ConfigError(`${key}: ${name} is not needed here: ${why}. Take the entry away`);
  throw new ConfigError(`${key}: there is no command '${name}', only ${[...commands.keys()].join(', ')}`);
}

function readTimes(text: string, now: Date, where: string): Schedule {
  try {
    return parseSchedule(text, now);
  } catch (cause) {
    throw new ConfigError(`${where}: the schedule ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

function readParams(runs: Command, params: Record<string, unknown>, where: string): Record<string, unknown> {
  try {
    return runs.payload(params);
  } catch (cause) {
    if (!(cause instanceof z.ZodError)) throw cause;
    throw new ConfigError(`${where}: the params are wrong: ${cause.issues.map((issue) => `${issue.path.join('.') || '(all)'}: ${issue.message}`).join('; ')}`, { cause });
  }
}

/**
 * The debug stream of a task, in the line shape that operators grep in the Ruby director's:
 * `I, [2026-11-23T10:00:00.123456 #1] []  INFO -- DirectorJobRunner: text`
 * (cloudfoundry/bosh src/bosh-director/lib/bosh/director/config.rb uses the stock formatter of the `logging` gem).
 */
export interface TaskLog {
  debug(text: string, component?: string): void;
  info(text: string, component?: string): void;
  warn(text: string, component?: string): void;
  error(text: string, component?: string): void;
}

const letters = { debug: 'D', info: 'I', warn: 'W', error: 'E' } as const;

/** Makes a task log that hands whole lines to `append`. `pid` and `slot` identify the worker in each line. */
export function createTaskLog(append: (line: string) => void, pid: number, slot: string): TaskLog {
  const line = (level: keyof typeof letters, text: string, component = 'DirectorJobRunner') => {
    const time = new Date().toISOString().replace('Z', '000');
    append(`${letters[level]}, [${time} #${pid}] [${slot}] ${level.toUpperCase().padStart(5)} -- ${component}: ${text}\n`);
  };
  return {
    debug: (text, component) => line('debug', text, component),
    info: (text, component) => line('info', text, component),
    warn: (text, component) => line('warn', text, component),
    error: (text, component) => line('error', text, component),
  };
}

import { Cron } from 'croner';

/**
 * Due times of a cron text. All times are UTC, so no hour comes twice or not at all.
 *
 * Accepted: 5 fields (minute first) or 6 (seconds first), `@hourly`, `@daily`, `@midnight`, `@noon`, `@weekly`, `@monthly`, `@yearly`,
 * `@annually`, each with an optional ` UTC` after it. A field is `*`, numbers, names of months and weekdays (0 and 7 are Sunday), lists,
 * ranges and steps (`*` + `/7` in the days of the month: 1, 8, 15, 22, 29); `L` is the month's last day, `mon#1` its first Monday. When
 * both days of the month and weekdays are restricted, either will do. All of this is read as the Ruby director's scheduler reads it
 * (floraison/fugit lib/fugit/cron.rb).
 *
 * What only that one reads is refused instead of being read differently: other time zones, `5/15` (write `5-59/15`), ranges that wrap
 * around (`22-2`), days counted from the end (`-1`), hour 24 and `mon%2`.
 */
export interface Schedule {
  /** The first due time after `after`; undefined when there is none any more. */
  next(after: Date): Date | undefined;
  /** Due times from `from` to `until`, both inclusive, oldest first: the newest `limit` of them. */
  due(from: Date, until: Date, limit: number): Date[];
}

/** Throws Error with a sentence that says what is wrong with the text. `now` is any present moment: a text that is never due is refused. */
export function parseSchedule(text: string, now: Date): Schedule {
  const cron = parseCron(text);
  const following = (after: Date) => cron.nextRun(after) ?? undefined;
  if (following(now) === undefined) throw new Error(`'${text}' is never due: no such day comes`);
  return {
    next: following,
    due: (from, until, limit) => {
      const found: Date[] = [];
      for (let at = following(new Date(from.getTime() - 1)); at !== undefined && at <= until; at = following(at)) {
        // So many within so short a time that counting backwards from the end is quicker.
        if (found.length === limit) return cron.previousRuns(limit, new Date(until.getTime() + 1)).toReversed();
        found.push(at);
      }
      return found;
    },
  };
}

function parseCron(text: string): Cron {
  const words = text.trim().split(/\s+/);
  if (words.length > 1 && words.at(-1)?.toUpperCase() === 'UTC') words.pop();
  const zone = words.find((word) => /^(?:[A-Za-z_]+\/[A-Za-z_/+-]+[0-9]*|[A-Z]{3,4}T|GMT|Z|[+-]\d{2}:?\d{2})$/.test(word));
  if (zone !== undefined) throw new Error(`'${text}' names the time zone ${zone}, but schedules are in UTC: convert the hours and take the zone away`);
  const isNickname = words.length === 1 && /^@[a-z]+$/i.test(words[0] ?? '');
  if (!isNickname && words.length !== 5 && words.length !== 6) throw new Error(`'${text}' has ${words.length} fields: cron has 5 (minute, hour, day of the month, month, weekday), or 6 with the second before them`);
  if (words.some((word) => word.includes('?'))) throw new Error(`'${text}' has a '?', which has no fixed meaning: write '*' for any value`);
  const pattern = words.join(' ').toLowerCase() === '@noon' ? '0 12 * * *' : words.join(' ');
  try {
    return new Cron(pattern, { timezone: 'UTC', mode: '5-or-6-parts', paused: true });
  } catch (cause) {
    throw new Error(`'${text}' cannot be read as cron: ${(cause instanceof Error ? cause.message : String(cause)).replace(/^CronPattern: /, '')}`, { cause });
  }
}

import { describe, expect, it } from 'vitest';
import { parseSchedule } from './schedule';

const now = new Date('2024-01-30T10:00:00Z');

function following(text: string, count: number, after = now): string[] {
  const schedule = parseSchedule(text, now);
  const found: string[] = [];
  for (let at = schedule.next(after); at !== undefined && found.length < count; at = schedule.next(at)) found.push(at.toISOString().replace('.000Z', ''));
  return found;
}

describe('due times', () => {
  it.each([
    ['*/5 * * * * UTC', ['2024-01-30T10:05:00', '2024-01-30T10:10:00']],
    ['0 0,30 * * * * UTC', ['2024-01-30T10:30:00', '2024-01-30T11:00:00']],
    ['0 * * * * UTC', ['2024-01-30T11:00:00', '2024-01-30T12:00:00']],
    ['0 0 7 * * * UTC', ['2024-01-31T07:00:00', '2024-02-01T07:00:00']],
    ['*/7 * * * * *', ['2024-01-30T10:00:07', '2024-01-30T10:00:14']],
    ['0 0 L * *', ['2024-01-31T00:00:00', '2024-02-29T00:00:00']],
    ['0 0 * * 7', ['2024-02-04T00:00:00', '2024-02-11T00:00:00']],
    ['0 0 * feb mon-tue', ['2024-02-05T00:00:00', '2024-02-06T00:00:00']],
    ['0 0 * * mon#1', ['2024-02-05T00:00:00', '2024-03-04T00:00:00']],
    ['5-59/15 * * * *', ['2024-01-30T10:05:00', '2024-01-30T10:20:00']],
    ['@hourly', ['2024-01-30T11:00:00', '2024-01-30T12:00:00']],
    ['@daily UTC', ['2024-01-31T00:00:00', '2024-02-01T00:00:00']],
    ['@noon', ['2024-01-30T12:00:00', '2024-01-31T12:00:00']],
    ['  0  0  29 2 * utc', ['2024-02-29T00:00:00', '2028-02-29T00:00:00']],
  ])('of %s', (text, expected) => {
    expect(following(text, expected.length)).toEqual(expected);
  });

  it('of every seventh day begin anew with each month', () => {
    expect(following('0 0 0 */7 * * UTC', 7).map((at) => at.slice(5, 10))).toEqual(['02-01', '02-08', '02-15', '02-22', '02-29', '03-01', '03-08']);
  });

  it('match a day of the month or a weekday when both are given', () => {
    expect(following('0 0 1 * mon', 4).map((at) => at.slice(5, 10))).toEqual(['02-01', '02-05', '02-12', '02-19']);
  });

  it('know no summer time: there is one of each hour on the days when clocks change in Europe', () => {
    expect(following('30 * * * *', 24, new Date('2024-03-31T00:00:00Z'))).toEqual(Array.from({ length: 24 }, (_, hour) => `2024-03-31T${String(hour).padStart(2, '0')}:30:00`));
    expect(following('30 1 * * *', 2, new Date('2024-10-26T02:00:00Z'))).toEqual(['2024-10-27T01:30:00', '2024-10-28T01:30:00']);
  });

  it.each([
    ['Europe/Berlin', '0 0 * * * Europe/Berlin', /time zone Europe\/Berlin/],
    ['another zone', '0 0 * * * CEST', /time zone CEST/],
    ['too few fields', '0 0 *', /has 3 fields/],
    ['years', '0 0 0 1 1 * 2030', /has 7 fields/],
    ['a date', '2030-01-01T00:00:00', /has 1 fields/],
    ['nothing', '', /has 1 fields/],
    ['a question mark', '? * * * *', /'\?'/],
    ['a day that never comes', '0 0 31 2 *', /never due/],
    ['words', 'a b c d e', /cannot be read as cron/],
    ['a minute that does not exist', '60 * * * *', /cannot be read as cron: Invalid value for minute/],
    ['an hour that does not exist', '0 24 * * *', /cannot be read as cron/],
    ['steps from a number', '5/15 * * * *', /cannot be read as cron/],
    ['ranges that wrap around', '22-2 * * * *', /cannot be read as cron/],
    ['starts of the machine', '@reboot', /cannot be read as cron/],
  ])('are refused for %s', (_what, text, message) => {
    expect(() => parseSchedule(text, now)).toThrow(message);
  });
});

describe('due times within a span', () => {
  const at = (text: string) => new Date(`2024-01-30T${text}Z`);
  const due = (text: string, from: string, until: string, limit = 100) => parseSchedule(text, now).due(at(from), at(until), limit).map((one) => one.toISOString().slice(11, 19));

  it('include both ends', () => {
    expect(due('*/5 * * * *', '10:00:00', '10:10:00')).toEqual(['10:00:00', '10:05:00', '10:10:00']);
    expect(due('*/5 * * * *', '10:00:00.001', '10:09:59.999')).toEqual(['10:05:00']);
    expect(due('*/5 * * * *', '10:05:00', '10:05:00')).toEqual(['10:05:00']);
  });

  it('are empty when there is none, or the span runs backwards', () => {
    expect(due('0 0 * * *', '10:00:00', '11:00:00')).toEqual([]);
    expect(due('*/5 * * * *', '11:00:00', '10:00:00')).toEqual([]);
  });

  it('are the newest ones when there are more than wanted', () => {
    expect(due('* * * * * *', '10:00:00', '10:20:00', 3)).toEqual(['10:19:58', '10:19:59', '10:20:00']);
    expect(due('*/5 * * * *', '10:00:00', '10:10:00', 3)).toHaveLength(3);
  });
});

import { describe, expect, it } from 'vitest';
import { describeCron } from './cron';

describe('cron in words', () => {
  it.each([
    ['0 0 7 * * * UTC', 'daily at 07:00 UTC'],
    ['*/5 * * * * UTC', 'every 5 minutes'],
    ['0 0,30 * * * * UTC', 'every half hour'],
    ['0 * * * * UTC', 'hourly'],
    ['* * * * *', 'every minute'],
    ['0 0 0 */7 * * UTC', 'on days 1, 8, 15, 22 and 29 at 00:00 UTC'],
    ['5,20 * * * *', 'hourly at :05 and :20'],
    ['30 4 * * 1', 'every Monday at 04:30 UTC'],
    ['0 6,18 * * * Etc/UTC', 'daily at 06:00 and 18:00 UTC'],
    ['0 3 1 * *', 'on day 1 of the month at 03:00 UTC'],
  ])('%s: %s', (cron, words) => {
    expect(describeCron(cron)).toBe(words);
  });

  it.each(['*/2 * * * * *', '0 0 1 1 *', '10-20 * * * *', '0 0 * * MON-FRI', 'nonsense', ''])('has no words for %s', (cron) => {
    expect(describeCron(cron)).toBeUndefined();
  });
});

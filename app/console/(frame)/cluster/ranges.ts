/** How much time the lanes show, and how often they are read again. */
export const ranges = {
  quarter: { title: '15 min', ms: 15 * 60_000, refreshMs: 1_500 },
  hour: { title: '1 h', ms: 60 * 60_000, refreshMs: 2_000 },
  day: { title: '24 h', ms: 24 * 60 * 60_000, refreshMs: 10_000 },
} as const;
export type RangeName = keyof typeof ranges;

export function toRange(text: string | undefined): RangeName {
  return text === 'quarter' || text === 'day' ? text : 'hour';
}

/** Samples and their table. */

export interface Figure {
  /** What was measured, from where to where. */
  what: string;
  unit: 'ms' | 'MB' | 'req/s' | 'cores' | '1/s';
  samples: readonly number[];
  /** Conditions of the measurement. */
  note?: string;
}

/** The p-th percentile (0–100) by nearest rank; NaN without samples. */
export function percentile(samples: readonly number[], p: number): number {
  const sorted = samples.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil((p / 100) * sorted.length) - 1)] ?? Number.NaN;
}

/** A Markdown table, one figure a row. */
export function tableOf(figures: readonly Figure[]): string {
  const head = ['Measured', 'n', 'median', 'p99', 'max', 'unit', 'conditions'];
  const rows = figures.map(({ what, unit, samples, note }) => [
    what, String(samples.length), shown(percentile(samples, 50)), samples.length < 10 ? '' : shown(percentile(samples, 99)), shown(percentile(samples, 100)), unit, note ?? '',
  ]);
  const widths = head.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const isNumber = (column: number) => column > 0 && column < 5;
  const line = (cells: readonly string[]) => `| ${cells.map((cell, column) => (isNumber(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0))).join(' | ')} |`;
  const rule = `|${widths.map((width, column) => (isNumber(column) ? `${'-'.repeat(width + 1)}:` : '-'.repeat(width + 2))).join('|')}|`;
  return [line(head), rule, ...rows.map(line)].join('\n');
}

function shown(value: number): string {
  if (Number.isNaN(value)) return '–';
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** One metric of a page in Prometheus' text format. */
export interface ExposedMetric {
  name: string;
  help: string;
  type: string;
  samples: { name: string; labels: Record<string, string>; value: number }[];
}

const label = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"/;
const sample = new RegExp(`^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\\{(${label.source}(?:,${label.source})*)?\\})? (\\S+)$`);
const suffixes: Record<string, readonly string[]> = { histogram: ['_bucket', '_sum', '_count'], summary: ['', '_sum', '_count'] };

/**
 * Reads a page, strictly; throws with the line that breaks a rule of https://prometheus.io/docs/instrumenting/exposition_formats/:
 * HELP and TYPE once and first, samples of that metric only, no series twice, numbers, a line feed at the end.
 */
export function parseExposition(text: string): Map<string, ExposedMetric> {
  if (!text.endsWith('\n')) throw new Error('the page does not end with a line feed');
  const metrics = new Map<string, ExposedMetric>();
  const series = new Set<string>();
  let current: ExposedMetric | undefined;
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const help = /^# HELP (\S+) (.+)$/.exec(line);
    const type = /^# TYPE (\S+) (counter|gauge|histogram|summary)$/.exec(line);
    if (help?.[1] !== undefined) {
      if (metrics.has(help[1])) throw new Error(`twice: ${line}`);
      current = { name: help[1], help: help[2] ?? '', type: '', samples: [] };
      metrics.set(current.name, current);
    } else if (type?.[1] !== undefined) {
      if (current?.name !== type[1] || current.type !== '') throw new Error(`out of place: ${line}`);
      current.type = type[2] ?? '';
    } else {
      const read = readSample(line);
      if (!current || current.type === '' || !(suffixes[current.type] ?? ['']).some((suffix) => read.name === `${current?.name}${suffix}`)) throw new Error(`of no metric: ${line}`);
      const id = line.slice(0, line.lastIndexOf(' '));
      if (series.has(id)) throw new Error(`series twice: ${line}`);
      series.add(id);
      current.samples.push(read);
    }
  }
  return metrics;
}

function readSample(line: string): ExposedMetric['samples'][number] {
  const found = sample.exec(line);
  const text = found?.at(-1) ?? '';
  const value = text === '+Inf' ? Number.POSITIVE_INFINITY : Number(text);
  if (!found?.[1] || (Number.isNaN(value) && text !== 'NaN')) throw new Error(`no sample: ${line}`);
  const labels = [...(found[2] ?? '').matchAll(new RegExp(label.source, 'g'))].map((match) => [match[1] ?? '', (match[2] ?? '').replace(/\\(["\\n])/g, (_, char: string) => (char === 'n' ? '\n' : char))]);
  return { name: found[1], labels: Object.fromEntries(labels), value };
}

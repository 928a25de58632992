import { Counter, Gauge, type Registry } from 'prom-client';

/** A metric of which all values are read at once from something else. */
export interface Family<S> {
  name: string;
  help: string;
  /** A counter never falls while what it is read from lives. */
  type: 'gauge' | 'counter';
  labels?: readonly string[];
  samples(state: S): readonly Sample[];
}

export interface Sample {
  labels?: Record<string, string>;
  value: number;
}

/**
 * Registers the families; the returned function gives them the values of a state, and nothing of an earlier one.
 * Without a state they have no values: absent beats stale.
 */
export function registerFamilies<S>(registry: Registry, families: readonly Family<S>[]): (state: S | undefined) => void {
  const metrics = families.map((family) => ({ family, metric: make(registry, family) }));
  return (state) => {
    for (const { family, metric } of metrics) {
      metric.reset();
      // Resetting a metric without labels makes it 0.
      if ((family.labels ?? []).length === 0) metric.remove();
      if (state === undefined) continue;
      for (const { labels, value } of family.samples(state)) metric.inc(labels ?? {}, value);
    }
  };
}

function make<S>(registry: Registry, { name, help, type, labels }: Family<S>): Counter | Gauge {
  const configuration = { name, help, labelNames: [...(labels ?? [])], registers: [registry] };
  return type === 'counter' ? new Counter(configuration) : new Gauge(configuration);
}

/** 1 or 0. */
export function flag(value: boolean): number {
  return value ? 1 : 0;
}

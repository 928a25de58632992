import { readFileSync } from 'node:fs';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { testStore, type TestStore } from '../support/director-parts';
import type { Metrics } from '../../server/metrics/metrics';
import { parseExposition, type ExposedMetric } from '../support/exposition';
import { playScene, sceneMetrics } from '../support/metrics-scene';
import { readPromql } from '../support/promql';

const read = (path: string) => readFileSync(resolve(__dirname, '../../docs', path), 'utf8');

const duration = z.string().regex(/^\d+[smhd]$/);
const rulesSchema = z.strictObject({
  groups: z.array(
    z.strictObject({
      name: z.string(),
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^(Directorate|Bosh)[A-Z]\w+$/),
          expr: z.string().min(1),
          for: duration.optional(),
          labels: z.strictObject({ severity: z.enum(['critical', 'warning', 'info']) }),
          annotations: z.strictObject({ summary: z.string().min(1), description: z.string().min(1) }),
        }),
      ),
    }),
  ),
});

const panelSchema = z.looseObject({
  id: z.number(),
  type: z.string(),
  title: z.string().min(1),
  description: z.string().optional(),
  gridPos: z.strictObject({ x: z.int().min(0), y: z.int().min(0), w: z.int().min(1).max(24), h: z.int().min(1) }),
  targets: z.array(z.looseObject({ expr: z.string().min(1), legendFormat: z.string(), datasource: z.strictObject({ type: z.literal('prometheus'), uid: z.literal('${datasource}') }) })).default([]),
});
const dashboardSchema = z.looseObject({
  uid: z.string(),
  schemaVersion: z.number(),
  panels: z.array(panelSchema).min(1),
  templating: z.strictObject({ list: z.array(z.looseObject({ name: z.string(), query: z.union([z.string(), z.looseObject({ query: z.string() })]) })) }),
});

const rules = rulesSchema.parse(parse(read('prometheus/directorate.rules.yml'))).groups.flatMap((group) => group.rules);
const dashboard = dashboardSchema.parse(JSON.parse(read('grafana/directorate.json')));

let store: TestStore;
let page: Map<string, ExposedMetric>;

beforeAll(async () => {
  store = await testStore();
  await playScene(store.connections.db);
  const metrics = sceneMetrics(store);
  metrics.onRpc({ method: 'ping', ms: 1, outcome: 'ok' });
  metrics.onCpiCall({ method: 'has_vm', ms: 1, outcome: 'ok' });
  metrics.onTakeover('update_deployment');
  metrics.onException(new Error('x'));
  countRequest(metrics);
  page = parseExposition(await metrics.render());
  await metrics.stop();
});

afterAll(() => store.close());

function countRequest(metrics: Metrics): void {
  const request = Object.assign(new IncomingMessage(new Socket()), { method: 'GET', url: '/info' });
  const response = new ServerResponse(request);
  metrics.observeHttp(request, response);
  response.emit('close');
}

/** Labels of a metric; without `le`, which every histogram has. */
function labelsOf(name: string): string[] {
  return [...new Set(page.get(name)?.samples.flatMap(({ labels }) => Object.keys(labels)) ?? [])].filter((label) => label !== 'le').sort();
}

/** `up` is Prometheus' own. */
function exposedName(name: string): string | undefined {
  if (page.has(name) || name === 'up') return name;
  const base = name.replace(/_(bucket|sum|count)$/, '');
  return page.get(base)?.type === 'histogram' ? base : undefined;
}

function problemsOf(expression: string): string[] {
  const { metrics, grouping } = readPromql(expression);
  const known = new Set(['job', 'instance', 'le', ...metrics.flatMap(({ name }) => labelsOf(exposedName(name) ?? ''))]);
  return [
    ...(metrics.length === 0 ? [`no metric in ${expression}`] : []),
    ...metrics.filter(({ name }) => exposedName(name) === undefined).map(({ name }) => `no metric ${name}`),
    ...metrics.flatMap(({ name, labels }) => labels.filter((label) => !['job', 'instance', ...labelsOf(exposedName(name) ?? '')].includes(label)).map((label) => `${name} has no label ${label}`)),
    ...grouping.filter((label) => !known.has(label)).map((label) => `no label ${label} in ${expression}`),
  ];
}

describe('the exposition', () => {
  it('keeps the conventions of names, but for those of the Ruby director', () => {
    const named = [...page.values()];
    expect(named.filter(({ name, type }) => name.endsWith('_total') !== (type === 'counter')).map(({ name }) => name).sort()).toEqual(['bosh_networks_dynamic_free_ips_total', 'bosh_networks_dynamic_ips_total', 'bosh_tasks_total']);
    expect(named.filter(({ name }) => !/^(bosh|directorate|http_server|process|nodejs)_/.test(name))).toEqual([]);
    expect(named.filter(({ name }) => /_(ms|milliseconds|minutes|mb|kb|age)(_|$)/.test(name) && !name.endsWith('_age_seconds'))).toEqual([]);
    expect(named.filter(({ help }) => help.length < 5)).toEqual([]);
  });

  it('is described in docs/metrics.md, each metric with its type, labels and meaning', () => {
    const rows = new Set(read('metrics.md').split('\n').filter((line) => line.startsWith('| `')));
    const described = [...page.values()].filter(({ name }) => !/^(process|nodejs)_/.test(name));
    const expected = described.map(({ name, type, help }) => `| \`${name}\` | ${type} | ${labelsOf(name).map((label) => `\`${label}\``).join(', ')} | ${help} |`);
    expect(expected.filter((row) => !rows.has(row))).toEqual([]);
    expect([...rows].filter((row) => /^\| `(bosh|directorate|http_server)_/.test(row) && !expected.includes(row))).toEqual([]);
  });
});

describe('the alert rules', () => {
  it('ask for metrics and labels that exist', () => {
    expect(rules.flatMap(({ alert, expr }) => problemsOf(expr).map((problem) => `${alert}: ${problem}`))).toEqual([]);
  });

  it('have names of their own, and texts that use only labels that the alert has', () => {
    expect(new Set(rules.map(({ alert }) => alert)).size).toBe(rules.length);
    for (const { alert, expr, annotations } of rules) {
      const { metrics, grouping } = readPromql(expr);
      const has = new Set(['job', 'instance', ...grouping, ...metrics.flatMap(({ name }) => labelsOf(exposedName(name) ?? ''))]);
      for (const [, label = ''] of `${annotations.summary} ${annotations.description}`.matchAll(/\$labels\.(\w+)/g)) expect(has.has(label), `${alert} names ${label}`).toBe(true);
    }
  });
});

describe('the dashboard', () => {
  const targets = dashboard.panels.flatMap((panel) => panel.targets.map((target) => ({ ...target, panel: panel.title })));

  it('asks for metrics and labels that exist', () => {
    expect(targets.flatMap(({ panel, expr }) => problemsOf(expr).map((problem) => `${panel}: ${problem}`))).toEqual([]);
    const legends = targets.flatMap(({ panel, expr, legendFormat }) => {
      const { metrics, grouping } = readPromql(expr);
      const has = new Set(['instance', 'job', ...grouping, ...metrics.flatMap(({ name }) => labelsOf(exposedName(name) ?? ''))]);
      return [...legendFormat.matchAll(/\{\{(\w+)\}\}/g)].filter(([, label = '']) => !has.has(label)).map(([label]) => `${panel}: ${label}`);
    });
    expect(legends).toEqual([]);
  });

  it('shows every metric of ours', () => {
    const shown = new Set(targets.flatMap(({ expr }) => readPromql(expr).metrics.map(({ name }) => exposedName(name))));
    expect([...page.keys()].filter((name) => /^(bosh|directorate|http_server)_/.test(name) && !shown.has(name))).toEqual([]);
  });

  it('uses variables that it has', () => {
    const variables = new Set(dashboard.templating.list.map(({ name }) => name));
    const used = JSON.stringify(dashboard).matchAll(/\$\{?([a-z]\w*)\}?/g);
    expect([...used].map((match) => match[1] ?? '').filter((name) => !variables.has(name))).toEqual([]);
    for (const { name, query } of dashboard.templating.list.filter((variable) => typeof variable.query !== 'string')) {
      const text = typeof query === 'string' ? query : query.query;
      const [, metric = '', label = ''] = /^label_values\((\w+)(?:\{[^}]*\})?, (\w+)\)$/.exec(text) ?? [];
      expect(page.has(metric) && ['job', 'instance', ...labelsOf(metric)].includes(label), `${name}: ${text}`).toBe(true);
    }
  });

  it('has panels with ids of their own that lie side by side, and say what they show', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) => Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`));
    expect(new Set(cells).size).toBe(cells.length);
    expect(dashboard.panels.filter(({ gridPos: { x, w } }) => x + w > 24)).toEqual([]);
    expect(dashboard.panels.filter(({ type, description, targets: asked }) => type !== 'row' && (!description || asked.length === 0)).map(({ title }) => title)).toEqual([]);
  });
});

import { describe, expect, it } from 'vitest';
import type { NewAlert } from '../alerts/alert';
import { alertOfAgent, alertOfDirector, createAlertBuffer } from './alert-buffer';

const web = { agentId: 'a-1', deployment: 'lab', group: 'web', index: 0, instanceUuid: 'i-1', cid: 'vm-1' };
const monit = { id: 'fake-monit-alert', severity: 2, title: 'fake-monit-service (10.20.1.21) - failing - start', summary: 'fake-monit-description', created_at: 1_306_076_861 };
const good = (alert: NewAlert | string): NewAlert => {
  if (typeof alert === 'string') throw new Error(alert);
  return alert;
};

describe('an alert of an agent', () => {
  it('is attributed to the instance', () => {
    expect(alertOfAgent(web, JSON.stringify(monit))).toMatchObject({
      id: 'fake-monit-alert', origin: 'agent', severity: 2, title: monit.title, summary: 'fake-monit-description', source: 'lab: web(i-1) [id=a-1, index=0, cid=vm-1]',
      deployment: 'lab', job: 'web', instanceId: 'i-1', agentId: 'a-1', createdAt: 1_306_076_861,
    });
  });

  it('names an agent that no deployment knows', () => {
    expect(good(alertOfAgent({ agentId: 'a-1' }, JSON.stringify(monit)))).toMatchObject({ source: 'agent a-1 []', deployment: undefined });
  });

  it('keeps a source that it brings', () => {
    const alert = good(alertOfAgent(web, JSON.stringify({ ...monit, source: 'cron' })));
    expect([alert.source, alert.deployment, alert.job]).toEqual(['cron', undefined, undefined]);
  });

  it('is the same whoever heard it, with an id or without', () => {
    const text = JSON.stringify({ ...monit, id: undefined });
    expect(good(alertOfAgent(web, text))).toEqual(good(alertOfAgent(web, text)));
    expect(good(alertOfAgent(web, text)).dedupKey).toBe(good(alertOfAgent({ agentId: 'a-1' }, text)).dedupKey);
    const keys = [monit, { ...monit, created_at: 1 }, { ...monit, id: 'other' }].map((one) => good(alertOfAgent(web, JSON.stringify(one))).dedupKey);
    expect(new Set([...keys, good(alertOfAgent({ ...web, agentId: 'a-2' }, JSON.stringify(monit))).dedupKey]).size).toBe(4);
  });

  it('uses the title where there is no summary', () => {
    expect(good(alertOfAgent(web, JSON.stringify({ ...monit, summary: undefined }))).summary).toBe(monit.title);
  });

  it('is refused with a reason when it cannot be used', () => {
    const problems = ['{', 'null', '[]', ...[{ severity: undefined }, { severity: '2' }, { severity: -1 }, { title: null }, { created_at: 'now' }, { created_at: 1e300 }].map((more) => JSON.stringify({ ...monit, ...more }))];
    expect(problems.map((text) => alertOfAgent(web, text))).toEqual([
      'it is not JSON', 'a JSON object was expected', 'a JSON object was expected', 'severity is missing', 'severity is invalid (non-negative integer expected)',
      'severity is invalid (non-negative integer expected)', 'title is missing', 'created_at is invalid UNIX timestamp', 'created_at is invalid UNIX timestamp',
    ]);
  });

  it('is cut to what can be stored', () => {
    const alert = good(alertOfAgent(web, JSON.stringify({ ...monit, title: 'a\u0000b', summary: 'x'.repeat(1_000_000) })));
    expect(alert.title).toBe('ab');
    expect(alert.summary).toHaveLength(16_000);
  });
});

describe('an alert of the director', () => {
  const begin = { id: 'u-1', severity: 4, source: 'director', title: 'director - begin update deployment', summary: 'Begin update deployment', created_at: 1_700_000_000, deployment: 'lab' };

  it('is taken as it is', () => {
    expect(alertOfDirector(JSON.stringify(begin))).toMatchObject({ origin: 'director', id: 'u-1', severity: 4, source: 'director', deployment: 'lab', title: begin.title, summary: begin.summary, createdAt: begin.created_at });
  });

  it('must be complete', () => {
    for (const key of ['id', 'severity', 'title', 'summary', 'created_at']) expect(alertOfDirector(JSON.stringify({ ...begin, [key]: undefined })), key).toBeTypeOf('string');
  });
});

describe('the buffer', () => {
  const alert = (n: number) => good(alertOfAgent(web, JSON.stringify({ ...monit, id: String(n) })));

  it('gives each alert once, oldest first, until it is stored', () => {
    const buffer = createAlertBuffer({ limit: 10, maxAgeMs: 1_000 });
    for (const n of [1, 2, 1, 3]) buffer.add(alert(n), 0);
    expect(buffer.take(2).map(({ id }) => id)).toEqual(['1', '2']);
    buffer.remove(buffer.take(2));
    expect(buffer.take(9).map(({ id }) => id)).toEqual(['3']);
  });

  it('is bounded in number and age', () => {
    const buffer = createAlertBuffer({ limit: 3, maxAgeMs: 1_000 });
    for (const n of [1, 2, 3, 4]) buffer.add(alert(n), n * 100);
    expect(buffer.dropped).toBe(1);
    expect(buffer.take(9).map(({ id }) => id)).toEqual(['2', '3', '4']);
    buffer.expire(1_301);
    expect(buffer.take(9).map(({ id }) => id)).toEqual(['4']);
  });
});

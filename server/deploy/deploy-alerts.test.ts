import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { deployAlert } from './deploy-alerts';

interface Recorded {
  data: { severity: number; source: string; title: string; summary: string; created_at: number; deployment: string };
}

const recorded = readFileSync(join(__dirname, '../../tests/fixtures/director-alerts.jsonl'), 'utf8').trim().split('\n').map((line) => (JSON.parse(line) as Recorded).data);
const identity = { taskId: 7, deployment: 'lab', directorUuid: 'deadbeef' };

describe('alerts about deploys', () => {
  it('are those of the Ruby director', () => {
    const moments = [{ kind: 'begin' } as const, { kind: 'finish' } as const, { kind: 'error', error: new Error('Unable to render') } as const];
    for (const [i, moment] of moments.entries()) {
      const like = recorded[i];
      const alert = deployAlert(identity, moment, (like?.created_at ?? 0) * 1_000 + 999);
      expect({ ...alert, summary: '' }).toMatchObject({ severity: like?.severity, source: like?.source, title: like?.title, deployment: like?.deployment, createdAt: like?.created_at, origin: 'director' });
      expect(moment.kind === 'error' ? alert.summary.split(': ')[0] : alert.summary).toBe(moment.kind === 'error' ? like?.summary.split(': ')[0] : like?.summary);
    }
    expect(deployAlert(identity, { kind: 'error', error: new Error('Unable to render') }, 0).summary).toMatch(/: Unable to render$/);
  });

  it('are the same occurrence for every attempt of a task, and another one for other tasks and directors', () => {
    const of = (change: Partial<typeof identity>, atMs: number) => deployAlert({ ...identity, ...change }, { kind: 'begin' }, atMs);
    expect([of({}, 1).dedupKey, of({}, 1).id]).toEqual([of({}, 9_000).dedupKey, of({}, 9_000).id]);
    expect(of({ taskId: 8 }, 1).dedupKey).not.toBe(of({}, 1).dedupKey);
    expect(of({ directorUuid: 'other' }, 1).id).not.toBe(of({}, 1).id);
  });
});

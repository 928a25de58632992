import { describe, expect, it } from 'vitest';
import { parseStages } from './task-stages';

const line = (fields: object) => `${JSON.stringify({ time: 100, stage: 'Updating instance', tags: ['web'], total: 2, task: 'web/a (0)', index: 1, state: 'started', progress: 0, ...fields })}\n`;
const parse = (lines: string[], ended = false) => parseStages(Buffer.from(lines.join('')), ended);

describe('stages of a task', () => {
  it('have steps with progress, their last status and their times', () => {
    const { stages } = parse([line({}), line({ time: 102, state: 'in_progress', progress: 30, data: { status: 'stopping jobs' } })]);
    expect(stages).toHaveLength(1);
    expect(stages[0]).toMatchObject({ name: 'Updating instance', tags: ['web'], total: 2, state: 'working' });
    expect(stages[0]?.steps).toEqual([{ name: 'web/a (0)', index: 1, state: 'working', progress: 30, note: 'stopping jobs', startedAt: new Date(100_000), at: 0 }]);
  });

  it('are done when all expected steps are, and failed when one is', () => {
    const done = [line({}), line({ state: 'finished', progress: 100, time: 104 })];
    expect(parse(done).stages[0]?.state).toBe('working');
    expect(parse([...done, line({ task: 'b', index: 2 }), line({ task: 'b', index: 2, state: 'finished' })]).stages[0]?.state).toBe('done');
    const failed = parse([...done, line({ task: 'b', index: 2 }), line({ task: 'b', index: 2, state: 'failed', data: { error: 'broken' } })]).stages[0];
    expect(failed?.state).toBe('failed');
    expect(failed?.steps[1]).toMatchObject({ state: 'failed', note: 'broken' });
  });

  it('are not at work any more when the task has ended', () => {
    expect(parse([line({})], true).stages[0]?.state).toBe('failed');
    expect(parse([line({}), line({ state: 'finished' })], true).stages[0]?.state).toBe('done');
  });

  it('are told apart by their tags', () => {
    expect(parse([line({}), line({ tags: ['db'] })]).stages.map((stage) => stage.tags)).toEqual([['web'], ['db']]);
  });

  it('show a step that another node does again once, as it is now', () => {
    const { stages, notes } = parse([line({}), line({ state: 'failed', data: { error: 'Interrupted' } }), `${JSON.stringify({ time: 101, type: 'warning', message: 'node B goes on' })}\n`, line({ time: 103 })]);
    expect(stages[0]?.steps).toHaveLength(1);
    expect(stages[0]?.steps[0]).toMatchObject({ state: 'working', startedAt: new Date(103_000) });
    expect(notes).toMatchObject([{ kind: 'warning', message: 'node B goes on' }]);
  });

  it('come with the error that ended the task, its code, and byte offsets in UTF-8', () => {
    const first = line({ task: 'größe' });
    const { notes } = parse([first, `${JSON.stringify({ time: 105, error: { code: 10001, message: 'Task 3 cancelled' } })}\n`]);
    expect(notes).toEqual([{ kind: 'error', code: 10001, message: 'Task 3 cancelled', time: new Date(105_000), at: Buffer.byteLength(first) }]);
  });

  it('leave out what is no event line', () => {
    expect(parse(['not json\n', '{"time":"x"}\n', '{"broken\n', line({})]).stages).toHaveLength(1);
    expect(parse([])).toEqual({ stages: [], notes: [] });
  });
});

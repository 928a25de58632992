import { expect, it } from 'vitest';
import { toChunk } from './log-lines';

it('reads time, level and message of a debug line, and keeps lines that continue it', () => {
  const text = 'D, [2026-11-23T20:15:30.123456 #41] [task:7] DEBUG -- DirectorJobRunner: SENT: agent.x {}\n  at somewhere\n';
  expect(toChunk('debug', 100, 100 + text.length, text).lines).toEqual([
    { at: 100, text: text.split('\n')[0], time: Date.UTC(2026, 10, 23, 20, 15, 30, 123), level: 'debug', message: 'SENT: agent.x {}', event: undefined },
    { at: 100 + text.indexOf('\n') + 1, text: '  at somewhere', time: undefined, level: undefined, message: '  at somewhere', event: undefined },
  ]);
});

it('addresses lines by bytes, not characters', () => {
  expect(toChunk('result', 0, 9, 'größe\nx\n').lines.map((line) => line.at)).toEqual([0, 8]);
});

it('reads the event stream, and shows what it cannot read as it is', () => {
  const event = { time: 100, stage: 'Updating instance', tags: ['web'], total: 1, task: 'web/a (0)', index: 1, state: 'in_progress', progress: 30, data: { status: 'stopping jobs' } };
  const lines = toChunk('event', 0, 0, `${JSON.stringify(event)}\n{"time":101,"error":{"code":10001,"message":"Task 1 cancelled"}}\n{"broken\n`).lines;
  expect(lines.map((line) => line.event)).toEqual([
    { kind: 'in_progress', stage: 'Updating instance web', task: 'web/a (0)', note: 'stopping jobs' },
    { kind: 'error', stage: '', task: '', note: 'Task 1 cancelled' },
    undefined,
  ]);
  expect(lines[2]?.message).toBe('{"broken');
});

import { expect, it } from 'vitest';
import { parseRange } from './range';

it.each<[string, string | undefined, number, ReturnType<typeof parseRange>]>([
  ['no header', undefined, 10, { kind: 'all' }],
  ['an open range', 'bytes=3-', 10, { kind: 'part', start: 3, end: 10 }],
  ['from the first byte', 'bytes=0-', 10, { kind: 'part', start: 0, end: 10 }],
  ['the last byte', 'bytes=9-', 10, { kind: 'part', start: 9, end: 10 }],
  ['a closed range', 'bytes=2-5', 10, { kind: 'part', start: 2, end: 6 }],
  ['one byte', 'bytes=4-4', 10, { kind: 'part', start: 4, end: 5 }],
  ['an end beyond the body', 'bytes=8-99', 10, { kind: 'part', start: 8, end: 10 }],
  ['the last bytes', 'bytes=-4', 10, { kind: 'part', start: 6, end: 10 }],
  ['more last bytes than there are', 'bytes=-40', 10, { kind: 'part', start: 0, end: 10 }],
  ['no last bytes', 'bytes=-0', 10, { kind: 'unsatisfiable' }],
  ['a start at the end', 'bytes=10-', 10, { kind: 'unsatisfiable' }],
  ['a start beyond the end', 'bytes=11-12', 10, { kind: 'unsatisfiable' }],
  ['an end before the start', 'bytes=5-3', 10, { kind: 'all' }],
  ['several ranges', 'bytes=0-1,5-6', 10, { kind: 'all' }],
  ['no numbers', 'bytes=-', 10, { kind: 'all' }],
  ['another unit', 'lines=0-1', 10, { kind: 'all' }],
  ['rubbish', 'bytes=a-b', 10, { kind: 'all' }],
  ['an empty body', 'bytes=0-', 0, { kind: 'all' }],
  ['an empty body, further on', 'bytes=7-', 0, { kind: 'all' }],
])('reads %s', (_, header, size, expected) => {
  expect(parseRange(header, size)).toEqual(expected);
});

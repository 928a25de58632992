import { describe, expect, it } from 'vitest';
import { matchesGlob } from './actions/logs';
import { exceptionResponse, maxResponseBytes, parseRequest, valueResponse } from './protocol';

describe('responses', () => {
  it('that are too long become an exception', () => {
    expect(valueResponse('x'.repeat(1000))).toBe(JSON.stringify({ value: 'x'.repeat(1000) }));
    expect(JSON.parse(valueResponse('x'.repeat(maxResponseBytes)))).toEqual({ exception: { message: 'Response exceeded maximum allowed length' } });
  });

  it.each([['letters', 'x'], ['control characters', '\u0001'], ['wide characters', '語']])('keep head and tail of a long message of %s', (_name, letter) => {
    const response = exceptionResponse(`head ${letter.repeat(2_000_000)} tail`);
    expect(Buffer.byteLength(response)).toBeLessThanOrEqual(maxResponseBytes);
    expect(JSON.parse(response).exception.message).toMatch(/^head .*\n\.\.\.\[truncated\]\.\.\.\n.* tail$/s);
  });
});

describe('requests', () => {
  it('may leave protocol and arguments out, but not where to answer', () => {
    expect(parseRequest('{"method":"ping","reply_to":"r"}')).toEqual({ protocol: 0, method: 'ping', arguments: [], reply_to: 'r' });
    expect(parseRequest('{"method":"ping","arguments":null,"reply_to":"r"}')?.arguments).toEqual([]);
    expect(parseRequest('{"method":"ping"}')).toBeUndefined();
    expect(parseRequest('nonsense')).toBeUndefined();
  });
});

describe('log filters', () => {
  it.each([
    ['a/b/c.log', '**/*', true],
    ['c.log', '**/*', true],
    ['a/b/c.log', '**/*.log', true],
    ['a/b/c.log', '*.log', false],
    ['a/b/c.log', 'a/*/c.*', true],
    ['a/b/c.log', 'a/**', true],
    ['a/x+y.log', 'a/x+y.log', true],
    ['a/xxy.log', 'a/x+y.log', false],
    ['a/b.log', 'a/?.log', true],
  ])('%s against %s: %s', (path, glob, expected) => {
    expect(matchesGlob(path, glob)).toBe(expected);
  });
});

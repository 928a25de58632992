import { expect, test } from 'vitest';
import { RenderCache } from './cache';
import type { RenderedJob } from './render-job';

const job = (bytes: number): RenderedJob => ({ jobName: 'j', monit: Buffer.alloc(bytes), files: [] });

test('the least recently used jobs go when the cache is full', () => {
  const cache = new RenderCache(4000);
  for (const key of ['a', 'b', 'c']) cache.add(key, job(900));
  expect(cache.find('a')).toBeDefined();
  cache.add('d', job(900));
  expect(['a', 'b', 'c', 'd'].filter((key) => cache.find(key))).toEqual(['a', 'c', 'd']);
  expect(cache.bytes).toBeLessThanOrEqual(4000);
});

test('what is larger than the cache is not kept, and replacing does not count twice', () => {
  const cache = new RenderCache(2000);
  cache.add('a', job(500));
  const { bytes } = cache;
  cache.add('a', job(500));
  expect(cache.bytes).toBe(bytes);
  cache.add('big', job(3000));
  expect(cache.find('big')).toBeUndefined();
  expect(cache.find('a')).toBeDefined();
});

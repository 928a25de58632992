import { isTrackedEnvelope, tracked, type TrackedEnvelope } from '@trpc/server';
import { z } from 'zod';

/** Schema of a subscription's output: an async iterable whose (tracked) values have the schema `yield`. */
export function zAsyncIterable<T>(of: { yield: z.ZodType<T>; tracked: true }) {
  return z
    .custom<AsyncIterable<TrackedEnvelope<T>>>((value) => typeof value === 'object' && value !== null && Symbol.asyncIterator in value)
    .transform(async function* (values) {
      for await (const value of values) {
        if (!isTrackedEnvelope(value)) throw new Error('a followed stream yielded a value without an id');
        yield tracked(value[0], of.yield.parse(value[1]));
      }
    });
}

import type { z } from 'zod';
import type { ActionCall } from './protocol';

/** Reads an argument of a request; the error tells which one is wrong and how. */
export function readArgument<T>(call: Pick<ActionCall, 'args'>, index: number, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(call.args[index]);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const where = [`argument ${index + 1}`, ...(issue?.path ?? [])].join('.');
  throw new Error(`${where}: ${issue?.message ?? 'invalid'}`);
}

import { appendFileSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { ForcedCpiError } from './errors';
import { isNoSuchFile } from './state';

/**
 * Switches for tests: marker files in `<state>/hooks/` hold a call up or make it fail.
 *
 * - `<method>.before.delay_ms` and `<method>.after.delay_ms`: a number (ms), or `{"ms":5000,"once":true,"match":"text"}`;
 *   `before` waits ahead of every effect, `after` when all is done and only the reply is missing.
 * - `<method>.fail`: `{"type":"Bosh::Clouds::…","message":"…","ok_to_retry":false,"once":true,"match":"text"}`.
 *
 * `once` uses the file up (exactly one of several calls gets it); `match` limits a hook to calls whose arguments,
 * as JSON, contain the text. A call that reaches a hook adds a line to `hooks/reached.jsonl`, which is what a test waits for.
 */
const delaySchema = z.union([
  z.number(),
  z.object({ ms: z.number(), once: z.optional(z.boolean()), match: z.optional(z.string()) }),
]);
const failSchema = z.object({
  type: z._default(z.string(), 'Bosh::Clouds::CloudError'),
  message: z._default(z.string(), 'forced by a test hook'),
  ok_to_retry: z._default(z.boolean(), false),
  once: z.optional(z.boolean()),
  match: z.optional(z.string()),
});

export interface HookCall {
  method: string;
  requestId: string | undefined;
  argumentsJson: string;
}

export interface Hooks {
  before(call: HookCall): Promise<void>;
  after(call: HookCall): Promise<void>;
}

export function openHooks(stateDir: string): Hooks {
  const directory = join(stateDir, 'hooks');
  return {
    before: async (call) => {
      await delay(directory, `${call.method}.before.delay_ms`, call);
      fail(directory, call);
    },
    after: (call) => delay(directory, `${call.method}.after.delay_ms`, call),
  };
}

async function delay(directory: string, name: string, call: HookCall): Promise<void> {
  const text = readHook(directory, name);
  if (text === undefined) return;
  const value = z.parse(delaySchema, JSON.parse(text));
  const hook = typeof value === 'number' ? { ms: value } : value;
  if (!claim({ directory, name, call, hook })) return;
  await new Promise((resolve) => {
    setTimeout(resolve, hook.ms);
  });
}

function fail(directory: string, call: HookCall): void {
  const name = `${call.method}.fail`;
  const text = readHook(directory, name);
  if (text === undefined) return;
  const hook = z.parse(failSchema, JSON.parse(text));
  if (claim({ directory, name, call, hook })) throw new ForcedCpiError({ type: hook.type, message: hook.message, ok_to_retry: hook.ok_to_retry });
}

function claim(input: { directory: string; name: string; call: HookCall; hook: { once?: boolean | undefined; match?: string | undefined } }): boolean {
  const { directory, name, call, hook } = input;
  if (hook.match !== undefined && !call.argumentsJson.includes(hook.match)) return false;
  if (hook.once === true) {
    try {
      renameSync(join(directory, name), join(directory, `${name}.used.${process.pid}`));
    } catch (error) {
      if (isNoSuchFile(error)) return false;
      throw error;
    }
  }
  mkdirSync(directory, { recursive: true });
  const line = { time: new Date().toISOString(), hook: name, request_id: call.requestId, pid: process.pid, arguments: call.argumentsJson.slice(0, 200) };
  appendFileSync(join(directory, 'reached.jsonl'), `${JSON.stringify(line)}\n`);
  return true;
}

function readHook(directory: string, name: string): string | undefined {
  try {
    return readFileSync(join(directory, name), 'utf8');
  } catch (error) {
    if (isNoSuchFile(error)) return undefined;
    throw error;
  }
}

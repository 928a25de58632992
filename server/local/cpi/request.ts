import { appendFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod/mini';
import { cloudOf, type CpiConfig } from './config';
import { CpiError, toErrorReply, type CpiErrorReply } from './errors';
import { openHooks } from './hooks';
import { callMethod } from './methods';

/** One call: request document in, response document out (cloudfoundry/bosh src/bosh-director/lib/clouds/external_cpi.rb). */

const requestSchema = z.object({
  method: z.string(),
  arguments: z.array(z.unknown()),
  context: z.optional(z.looseObject({ request_id: z.optional(z.string()), cloud: z.optional(z.unknown()) })),
  api_version: z.nullish(z.number()),
});
type Request = z.infer<typeof requestSchema>;

export interface Response {
  result: unknown;
  error: CpiErrorReply | null;
  log: string;
}

/** Serves a request; failures are part of the response. Every call adds one line to `requests.jsonl` of its cloud. */
export async function serveRequest(configured: CpiConfig, text: string): Promise<Response> {
  const startedAt = new Date();
  let request: Request;
  let config: CpiConfig;
  try {
    request = z.parse(requestSchema, JSON.parse(text));
    config = cloudOf(configured, request.context?.cloud);
  } catch (error) {
    return { result: null, error: toErrorReply(new CpiError('Bosh::Clouds::CpiError', `The request is not a CPI request: ${error instanceof Error ? error.message : String(error)}`)), log: '' };
  }
  const outcome = await perform(config, request);
  record(config, { startedAt, request, outcome });
  const ms = Date.now() - startedAt.getTime();
  return { ...outcome, log: `local cloud: ${request.method} ${outcome.error === null ? 'done' : `failed: ${outcome.error.message}`} in ${ms} ms\n` };
}

type Outcome = Omit<Response, 'log'>;

async function perform(config: CpiConfig, request: Request): Promise<Outcome> {
  const hooks = openHooks(config.state_dir);
  const call = { method: request.method, requestId: request.context?.request_id, argumentsJson: JSON.stringify(request.arguments) };
  try {
    await hooks.before(call);
    const result = await callMethod(config, request.method, request.arguments);
    await hooks.after(call);
    return { result, error: null };
  } catch (error) {
    return { result: null, error: toErrorReply(error) };
  }
}

function record(config: CpiConfig, call: { startedAt: Date; request: Request; outcome: Outcome }): void {
  const { request, outcome } = call;
  const line = {
    time: call.startedAt.toISOString(),
    duration_ms: Date.now() - call.startedAt.getTime(),
    method: request.method,
    arguments: redactArguments(request),
    request_id: request.context?.request_id ?? null,
    ...(outcome.error === null ? { result: outcome.result } : { error: outcome.error }),
  };
  mkdirSync(config.state_dir, { recursive: true });
  appendFileSync(join(config.state_dir, 'requests.jsonl'), `${JSON.stringify(line)}\n`, { mode: 0o600 });
}

/** The env of create_vm carries private keys and passwords; only what names the VM stays. */
function redactArguments(request: Request): unknown[] {
  if (request.method !== 'create_vm') return request.arguments;
  return request.arguments.map((argument, index) => (index === 5 ? redactEnv(argument) : argument));
}

function redactEnv(env: unknown): unknown {
  const shown = z.safeParse(z.object({ bosh: z.optional(z.object({ group: z.optional(z.unknown()), groups: z.optional(z.unknown()), tags: z.optional(z.unknown()) })) }), env);
  return { bosh: { ...shown.data?.bosh, redacted: true } };
}

import { z } from 'zod';
import type { Method } from './protocol';
import { protocolVersion } from './protocol';

/**
 * The JSON envelope of requests and replies, and what of them may be logged.
 * Source: cloudfoundry/bosh src/bosh-director/lib/bosh/director/{agent_client,agent_message_converter}.rb.
 */

export function encodeRequest(method: Method, args: readonly unknown[], replyTo: string): string {
  return JSON.stringify({ protocol: protocolVersion, method, arguments: args, reply_to: replyTo });
}

/** An exception as agents report it; only `message` in current versions. */
export interface AgentException {
  message: string;
  backtrace?: string;
  /** Blob with more text; valid UUIDs only. */
  blobstoreId?: string;
}

export type AgentReply = { kind: 'value'; value: unknown } | { kind: 'exception'; exception: AgentException };

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const exceptionShape = z.looseObject({
  message: z.string().optional(),
  backtrace: z.union([z.string(), z.array(z.string())]).nullish(),
  blobstore_id: z.string().nullish(),
});

/** Reads a reply. Anything that is not an agent's reply becomes an exception that says so. */
export function decodeReply(text: string): AgentReply {
  const reply = parseObject(text);
  if (!reply) return { kind: 'exception', exception: { message: `the agent sent something that is not a JSON object: ${text.slice(0, 200)}` } };
  if (reply.exception === undefined || reply.exception === null) return { kind: 'value', value: reply.value ?? null };
  const shaped = exceptionShape.safeParse(reply.exception);
  if (!shaped.success || shaped.data.message === undefined) {
    return { kind: 'exception', exception: { message: typeof reply.exception === 'string' ? reply.exception : JSON.stringify(reply.exception) } };
  }
  const { message, backtrace, blobstore_id: blobstoreId } = shaped.data;
  return {
    kind: 'exception',
    exception: {
      message,
      ...(backtrace ? { backtrace: Array.isArray(backtrace) ? backtrace.join('\n') : backtrace } : {}),
      ...(blobstoreId && uuid.test(blobstoreId) ? { blobstoreId } : {}),
    },
  };
}

/** A long action as the answer to its request or to `get_task` describes it. */
export type ActionState = { running: true; agentTaskId: string } | { running: false; value: unknown };

const runningShape = z.looseObject({ agent_task_id: z.string(), state: z.string() });
const legacyShape = z.looseObject({ value: z.unknown(), state: z.string().optional(), agent_task_id: z.string().nullish() });

/**
 * Levels the versions of agents: a bare result, `{agent_task_id, state}`, or `{value, state, agent_task_id}`.
 * An agent may also answer any method at once with its result.
 */
export function actionStateOf(value: unknown): ActionState {
  const bare = runningShape.safeParse(value);
  if (bare.success && !('value' in bare.data)) return bare.data.state === 'running' ? { running: true, agentTaskId: bare.data.agent_task_id } : { running: false, value };
  const legacy = legacyShape.safeParse(value);
  if (!legacy.success || !('value' in legacy.data)) return { running: false, value };
  if (legacy.data.state === 'running' && legacy.data.agent_task_id) return { running: true, agentTaskId: legacy.data.agent_task_id };
  return { running: false, value: legacy.data.value };
}

/** The request as the debug log shows it: secrets and bulky payloads are left out. */
export function redactRequest(method: Method, args: readonly unknown[], replyTo: string): string {
  return JSON.stringify({ protocol: protocolVersion, method, arguments: args.map((arg) => redactArgument(method, arg)), reply_to: replyTo }, hideSignedUrls);
}

/** The reply as the debug log shows it. */
export function redactReply(text: string): string {
  const reply = parseObject(text);
  return reply ? JSON.stringify(reply, hideSignedUrls) : text.slice(0, 1_000);
}

const hidden = '<redacted>';

function redactArgument(method: Method, argument: unknown): unknown {
  if (typeof argument !== 'object' || argument === null || Array.isArray(argument)) return argument;
  if (method === 'upload_blob') return { ...argument, checksum: hidden, payload: hidden };
  if (method === 'update_settings') return { ...argument, mbus: hidden, blobstores: hidden };
  return argument;
}

/** A signed URL is a credential until it expires. */
function hideSignedUrls(key: string, value: unknown): unknown {
  if (key.endsWith('signed_url') && typeof value === 'string' && value !== '') return hidden;
  if (key === 'blobstore_headers' && value) return hidden;
  return value;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}

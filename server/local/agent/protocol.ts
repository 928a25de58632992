import { z } from 'zod';

/** The agent's side of the NATS protocol (cloudfoundry/bosh-agent handler/, agent/action/). */

const requestSchema = z.object({
  protocol: z.number().default(0),
  method: z.string(),
  arguments: z
    .array(z.unknown())
    .nullish()
    .transform((value) => value ?? []),
  reply_to: z.string().min(1),
});
export type AgentRequest = z.infer<typeof requestSchema>;

/** Parses a request; undefined when it cannot even be answered. */
export function parseRequest(text: string): AgentRequest | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  return requestSchema.safeParse(value).data;
}

/** Longest response in bytes of JSON; the default `max_payload` of a NATS server. */
export const maxResponseBytes = 1048576;
const cutMark = '\n...[truncated]...\n';
const keptWhenCut = 500_000;

export function valueResponse(value: unknown): string {
  const text = JSON.stringify({ value: value ?? null });
  return Buffer.byteLength(text) <= maxResponseBytes ? text : exceptionResponse('Response exceeded maximum allowed length');
}

/** An exception response; a message that is too long loses its middle. */
export function exceptionResponse(message: string): string {
  const text = JSON.stringify({ exception: { message } });
  if (Buffer.byteLength(text) <= maxResponseBytes) return text;
  // Characters may take up to six bytes of JSON, so what is kept shrinks until it fits.
  for (let kept = keptWhenCut; ; kept = Math.floor(kept / 2)) {
    const cut = JSON.stringify({ exception: { message: message.slice(0, kept) + cutMark + message.slice(-kept) } });
    if (Buffer.byteLength(cut) <= maxResponseBytes) return cut;
  }
}

/** What an action needs to know about the request beside its arguments. */
export interface ActionCall {
  args: unknown[];
  protocol: number;
  /** Aborted by `cancel_task`, for actions that can be cancelled. */
  signal: AbortSignal;
  /** Id under which an asynchronous action is polled. */
  taskId?: string;
}

/** One method of the protocol. */
export interface Action {
  /** `async` actions are answered with a task id and polled with `get_task`. */
  mode: 'sync' | 'async';
  /** Requests of a lower protocol version get the answer at once. */
  asyncFromProtocol?: number;
  /** Number of arguments without which the action is refused. */
  required?: number;
  cancellable?: boolean;
  run(call: ActionCall): Promise<unknown>;
}

export type Actions = Record<string, Action>;

import type { Readable } from 'node:stream';

/** What a handler answers; `handle.ts` sends it. */
export interface Reply {
  status: number;
  headers: Record<string, string | number>;
  body: string | Readable;
  /** No `WWW-Authenticate` header, as on blobs. */
  plain?: boolean;
  /** Called once the last byte has been handed to the connection. */
  onSent?: () => void;
}

const textType = 'text/plain;charset=utf-8';

export function json(value: unknown, status = 200): Reply {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

export function text(status: number, body: string): Reply {
  return { status, headers: { 'content-type': textType }, body };
}

/** 204, or another status without a body. */
export function empty(status = 204): Reply {
  return { status, headers: {}, body: '' };
}

/**
 * Sends the client to the task: 302 after GET, 303 after the rest, as the Ruby director behind nginx does.
 * The location is relative, so it holds behind any front door.
 */
export function redirectToTask(id: number, method: string): Reply {
  return { status: method === 'GET' ? 302 : 303, headers: { location: `/tasks/${id}`, 'content-type': textType }, body: '' };
}

/** Bytes of known length. */
export function stream(body: Readable, headers: { 'content-type': string; 'content-length': number } & Record<string, string | number>, status = 200): Reply {
  return { status, headers, body };
}

/** Ends a request with a reply from deep inside, for answers that are not director errors. */
export class ReplyThrown extends Error {
  readonly reply: Reply;

  constructor(reply: Reply) {
    super('reply');
    this.name = 'ReplyThrown';
    this.reply = reply;
  }
}

import { readdirSync, readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import type { BusMessage } from '../nats/connection';
import { callerWithoutTask, type Agent } from './agent';
import { AgentClient } from './client';
import { methods, protocolVersion, type Method } from './protocol';
import { isAgentAbsent } from './request';
import { actionStateOf, decodeReply, encodeRequest, redactReply, redactRequest } from './wire';

/** Conversations of a Ruby director with real agents, one message a line. */
const folder = 'tests/fixtures/agents';
const requestShape = z.object({ protocol: z.number(), method: z.string(), arguments: z.array(z.unknown()), reply_to: z.string() });
const lineShape = z.object({ subject: z.string(), data: z.record(z.string(), z.unknown()) });

interface Exchange {
  method: Method;
  args: unknown[];
  replyTo: string;
  raw: unknown;
  reply: Record<string, unknown> | undefined;
}

function readConversation(file: string): Exchange[] {
  const lines = readFileSync(`${folder}/${file}`, 'utf8').trim().split('\n').filter((line) => !line.startsWith('{"note"')).map((line) => lineShape.safeParse(JSON.parse(line)));
  const messages = lines.flatMap((line) => (line.success ? [line.data] : []));
  return messages.flatMap(({ data }) => {
    const request = requestShape.safeParse(data);
    if (!request.success) return [];
    const { method, reply_to: replyTo } = request.data;
    if (!(method in methods)) throw new Error(`${file}: ${method} is not known`);
    return [{ method: method as Method, args: request.data.arguments, replyTo, raw: data, reply: messages.find((message) => message.subject === replyTo)?.data }];
  });
}

const conversations = readdirSync(folder).map((file) => ({ file, exchanges: readConversation(file) }));

test.each(conversations)('$file: every request is written as the Ruby director writes it, every reply is understood', ({ exchanges }) => {
  expect(exchanges.length).toBeGreaterThan(0);
  for (const { method, args, replyTo, raw, reply } of exchanges) {
    expect(JSON.parse(encodeRequest(method, args, replyTo))).toEqual(raw);
    if (!reply) continue;
    const decoded = decodeReply(JSON.stringify(reply));
    expect(decoded.kind).toBe('exception' in reply ? 'exception' : 'value');
    if (decoded.kind === 'exception') expect(decoded.exception.message).toMatch(/^Action Failed /);
  }
});

/** The call of ours that makes a request of the director's. */
function call(agent: Agent, { method, args }: Exchange): Promise<unknown> | undefined {
  const [first, second] = args;
  const text = z.string();
  const hash = z.record(z.string(), z.unknown());
  switch (method) {
    case 'ping': return agent.ping();
    case 'info': return agent.info();
    case 'get_state': return agent.getState({ full: first === 'full' });
    case 'prepare': return agent.prepare(hash.parse(first));
    case 'apply': return agent.apply(hash.parse(first));
    case 'start': return agent.start();
    case 'stop': return agent.stop();
    case 'drain': return agent.drain(z.enum(['update', 'shutdown']).parse(first), hash.parse(second));
    case 'run_script': return agent.runScript(text.parse(first), z.object({ env: z.record(z.string(), z.string()).optional() }).parse(second).env);
    case 'run_errand': return agent.runErrand(text.parse(first));
    case 'fetch_logs': return agent.fetchLogs(text.parse(first), z.array(z.string()).nullable().parse(second));
    case 'list_disk': return agent.listDisk();
    case 'mount_disk': return agent.mountDisk(text.parse(first));
    case 'unmount_disk': return agent.unmountDisk(text.parse(first));
    case 'migrate_disk': return agent.migrateDisk(text.parse(first), text.parse(second));
    case 'add_persistent_disk': return agent.addPersistentDisk(text.parse(first), z.union([z.string(), hash]).parse(second));
    case 'remove_persistent_disk': return agent.removePersistentDisk(text.parse(first));
    case 'sync_dns': return agent.syncDns({ blobId: text.parse(first), digest: text.parse(second), version: z.number().parse(args[2]) });
    case 'ssh': return first === 'setup' ? agent.setUpSsh(...userAndKey(second)) : agent.cleanUpSsh(z.object({ user_regex: z.string() }).parse(second).user_regex);
    case 'compile_package': return agent.compilePackage({ blobstoreId: text.parse(first), digest: text.parse(second), name: text.parse(args[2]), version: text.parse(args[3]), dependencies: dependencies.parse(args[4]) });
    default: return undefined;
  }
}
const dependencies = z.record(z.string(), z.object({ name: z.string(), version: z.string(), sha1: z.string(), blobstore_id: z.string() }));
const userAndKey = (value: unknown): [string, string] => {
  const { user, public_key: key } = z.object({ user: z.string(), public_key: z.string() }).parse(value);
  return [user, key];
};

/** A bus on which an agent answers as the captured one did. */
function replay(exchanges: Exchange[]) {
  const published: { method: string; arguments: unknown[] }[] = [];
  let deliver: (message: BusMessage) => void = () => undefined;
  const bus = {
    publish: (_subject: string, data: Uint8Array) => {
      const { method, arguments: args, reply_to: replyTo } = requestShape.parse(JSON.parse(Buffer.from(data).toString()));
      published.push({ method, arguments: args });
      const same = exchanges.findLast((one) => one.method === method && isDeepStrictEqual(one.args, args));
      if (same?.reply) queueMicrotask(() => deliver({ subject: replyTo, data: Buffer.from(JSON.stringify(same.reply)), noResponders: false }));
      return true;
    },
    subscribe: (_subject: string, handler: (message: BusMessage) => void) => {
      deliver = handler;
      return () => undefined;
    },
    onConnect: () => () => undefined,
  };
  const client = new AgentClient({ bus, nodeId: 'node' });
  client.start();
  return { agent: client.agentFor({ id: 'agent', name: 'web/uuid' }, callerWithoutTask(new AbortController().signal)), published };
}

test.each(['vm-creation-to-running.jsonl', 'compilation-vm.jsonl', 'compile-fails.jsonl', 'disk-change.jsonl', 'errand-collocated.jsonl', 'logs.jsonl', 'ssh.jsonl', 'vms-full.jsonl', 'exceptions.jsonl', 'pre-start-fails.jsonl'])(
  '%s: our calls send the captured requests and end as the captured actions did',
  async (file) => {
    const exchanges = readConversation(file);
    await Promise.all(
      exchanges.filter((one) => one.reply && one.method !== 'get_task').map(async (one) => {
        const { agent, published } = replay(exchanges);
        const outcome = call(agent, one);
        if (!outcome) return;
        const value = one.reply?.value;
        const action = actionStateOf(value);
        const polls = action.running ? exchanges.filter((each) => each.method === 'get_task' && each.args[0] === action.agentTaskId) : [];
        const final = action.running ? polls.at(-1)?.reply : one.reply;
        if (final && 'exception' in final) await expect(outcome).rejects.toMatchObject({ code: 450001, message: decodeReplyMessage(final) });
        else await outcome;
        expect(published[0]).toEqual({ method: one.method, arguments: one.args });
      }),
    );
  },
);

function decodeReplyMessage(reply: unknown): string {
  const decoded = decodeReply(JSON.stringify(reply));
  return decoded.kind === 'exception' ? decoded.exception.message : '';
}

describe('DNS records', () => {
  const signal = new AbortController().signal;
  const records = { version: 7, digest: 'sha256:ab' };
  /** A bus on which every request gets the same message back. */
  function answering(reply: { value: unknown } | 'nobody listens') {
    const published: unknown[] = [];
    let deliver: (message: BusMessage) => void = () => undefined;
    const client = new AgentClient({
      nodeId: 'node',
      bus: {
        publish: (_subject, data) => {
          const { method, arguments: args, reply_to: replyTo } = requestShape.parse(JSON.parse(Buffer.from(data).toString()));
          published.push([method, args]);
          const absent = reply === 'nobody listens';
          queueMicrotask(() => deliver({ subject: replyTo, data: Buffer.from(absent ? '' : JSON.stringify(reply)), noResponders: absent }));
          return true;
        },
        subscribe: (_subject, handler) => {
          deliver = handler;
          return () => undefined;
        },
        onConnect: () => () => undefined,
      },
    });
    client.start();
    return { agent: client.agentFor({ id: 'agent', name: 'web/uuid' }, callerWithoutTask(signal)), published };
  }

  test('are named by blob id or by signed URL', async () => {
    const { agent, published } = answering({ value: 'synced' });
    expect(await agent.syncDns({ ...records, blobId: 'b' })).toBe(true);
    expect(await agent.syncDns({ ...records, signedUrl: 'https://b', headers: {} })).toBe(true);
    expect(await agent.syncDns({ ...records, signedUrl: 'https://b', headers: { k: 'v' } })).toBe(true);
    const url = { signed_url: 'https://b', multi_digest: 'sha256:ab', version: 7 };
    expect(published).toEqual([['sync_dns', ['b', 'sha256:ab', 7]], ['sync_dns_with_signed_url', [url]], ['sync_dns_with_signed_url', [{ ...url, blobstore_headers: { k: 'v' } }]]]);
  });

  test('are taken only when the agent says so', async () => {
    expect(await answering({ value: 'later' }).agent.syncDns({ ...records, blobId: 'b' })).toBe(false);
  });

  test('for an agent that is not connected are given up at once when that is wanted', async () => {
    const { agent, published } = answering('nobody listens');
    const failure: unknown = await agent.syncDns({ ...records, blobId: 'b' }, { absent: 'fail' }).catch((error: unknown) => error);
    expect(isAgentAbsent(failure)).toBe(true);
    expect(failure).toMatchObject({ code: 450002 });
    expect(published).toHaveLength(1);
  });
});

describe('replies of all versions', () => {
  test.each([
    ['a bare result', { blobstore_id: 'b' }, { running: false, value: { blobstore_id: 'b' } }],
    ['a scalar', 'applied', { running: false, value: 'applied' }],
    ['nothing', null, { running: false, value: null }],
    ['a running action', { agent_task_id: 't', state: 'running' }, { running: true, agentTaskId: 't' }],
    ['a value with its state', { value: 5, state: 'done', agent_task_id: null }, { running: false, value: 5 }],
    ['a value alone', { value: 'x' }, { running: false, value: 'x' }],
    ['a value of a running action', { value: null, state: 'running', agent_task_id: 't' }, { running: true, agentTaskId: 't' }],
  ])('%s', (_name, value, expected) => expect(actionStateOf(value)).toEqual(expected));

  test.each([
    ['a message', { message: 'm' }, { message: 'm' }],
    ['a backtrace in lines', { message: 'm', backtrace: ['a', 'b'] }, { message: 'm', backtrace: 'a\nb' }],
    ['a blob that is no uuid', { message: 'm', blobstore_id: '../x' }, { message: 'm' }],
    ['a text', 'broken', { message: 'broken' }],
    ['something else', { code: 1 }, { message: '{"code":1}' }],
  ])('an exception that is %s', (_name, exception, expected) =>
    expect(decodeReply(JSON.stringify({ exception }))).toEqual({ kind: 'exception', exception: expected }));

  test('something that is not a reply becomes an exception', () => {
    expect(decodeReply('[1]')).toMatchObject({ kind: 'exception' });
    expect(decodeReply('no json')).toMatchObject({ kind: 'exception' });
  });
});

describe('the debug log', () => {
  test('hides payloads, credentials and signed URLs', () => {
    const lines = [
      redactRequest('upload_blob', [{ blob_id: 'b', checksum: 'SECRET', payload: 'SECRET' }], 'r'),
      redactRequest('compile_package_with_signed_url', [{ upload_signed_url: 'SECRET', deps: { a: { package_get_signed_url: 'SECRET' } } }], 'r'),
      redactRequest('apply', [{ packages: { a: { signed_url: 'SECRET', blobstore_headers: { k: 'SECRET' } } } }], 'r'),
      redactReply(JSON.stringify({ value: { packages: { a: { signed_url: 'SECRET' } } } })),
    ];
    expect(lines.join('\n')).not.toContain('SECRET');
  });

  test('shows update_settings as the Ruby director does', () => {
    const shown = redactRequest('update_settings', [{ trusted_certs: '', disk_associations: [] }], 'director.n.a.r');
    expect(shown).toBe(`{"protocol":${protocolVersion},"method":"update_settings","arguments":[{"trusted_certs":"","disk_associations":[],"mbus":"<redacted>","blobstores":"<redacted>"}],"reply_to":"director.n.a.r"}`);
  });
});

import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { createLog } from '../../server/core/log';
import { createCa, issueServerCertificate, type Certificate } from '../../server/nats/credentials';
import { testAlert, testHeartbeat } from '../support/events';
import { startMailServer, type MailServer, type MailServerOptions } from '../support/mail-server';
import { beat, configuredPlugin, deliver } from '../support/plugins';
import { freePort } from '../support/postgres';

let ca: Certificate;
let certificate: Certificate;
const servers: MailServer[] = [];

beforeAll(async () => {
  ca = await createCa('test');
  certificate = await issueServerCertificate(ca, { cn: 'mail', dnsNames: ['localhost'], ips: ['127.0.0.1'] });
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function mailServer(options?: MailServerOptions): Promise<MailServer> {
  const server = await startMailServer(options);
  servers.push(server);
  return server;
}

function plugin(port: number, smtp: Record<string, unknown> = {}, more: Record<string, unknown> = {}) {
  return configuredPlugin({
    name: 'email', events: ['alert', 'heartbeat'],
    options: { recipients: ['one@example.com', 'two@example.com'], smtp: { from: 'hm@example.com', host: 'localhost', port, domain: 'director.example.com', ...smtp }, ...more },
  });
}

describe('a mail', () => {
  it('tells of all alerts since the last, in plain text', async () => {
    const server = await mailServer();
    await deliver(plugin(server.port), testAlert(), testAlert({ id: '2', title: 'second', summary: 'with ümlaut' }));
    const [mail] = server.mails;
    expect(mail).toMatchObject({ from: 'hm@example.com', to: ['one@example.com', 'two@example.com'], client: 'director.example.com', encrypted: false, user: undefined });
    expect(mail?.headers).toContain('\r\nSubject: 2 alerts from BOSH Health Monitor\r\n');
    expect(mail?.headers).toContain('\r\nTo: one@example.com, two@example.com\r\n');
    expect(mail?.text.trimEnd().split('\r\n')).toEqual([
      'dep: web(uuid-1) [id=agent-1]', 'agent-1 has timed out', 'Severity: 2', 'Summary: agent-1 has been silent', 'Time: 2023-11-14 22:13:20 UTC', '',
      'dep: web(uuid-1) [id=agent-1]', 'second', 'Severity: 2', 'Summary: with ümlaut', 'Time: 2023-11-14 22:13:20 UTC',
    ]);
  });

  it('is about one kind of event, and counts properly', async () => {
    const server = await mailServer();
    const email = plugin(server.port);
    await deliver(email, testAlert());
    await beat(email, testHeartbeat());
    await beat(email, testHeartbeat(), testHeartbeat());
    expect(server.mails.map((mail) => /^Subject: (.*)\r$/m.exec(mail.headers)?.[1])).toEqual(['1 alert from BOSH Health Monitor', '1 heartbeat from BOSH Health Monitor', '2 heartbeats from BOSH Health Monitor']);
    expect(server.mails[1]?.text.trimEnd()).toBe('Heartbeat from web/uuid-1 (agent_id=agent-1 index=0) @ 2023-11-14 22:13:20 UTC');
  });

  it('goes at most once an interval', () => {
    expect(plugin(25, {}, { interval: 2.5 }).alerts).toMatchObject({ kind: 'call', pauseMs: 2_500 });
    expect(plugin(25).heartbeats).toMatchObject({ pauseMs: 10_000 });
  });

  it('is encrypted where that is required, to a server that is trusted', async () => {
    const server = await mailServer({ credentials: certificate });
    await deliver(plugin(server.port, { tls: true, ca: ca.certificate }), testAlert());
    expect(server.mails).toMatchObject([{ encrypted: true }]);
    await expect(deliver(plugin(server.port, { tls: true }), testAlert())).rejects.toThrow(/certificate/);
    expect(server.mails).toHaveLength(1);
  });

  it('is not sent in the clear when encryption is required and the server has none', async () => {
    const server = await mailServer();
    await expect(deliver(plugin(server.port, { tls: true }), testAlert())).rejects.toThrow(/STARTTLS/i);
    expect(server.mails).toEqual([]);
  });

  it.each([['plain', 'PLAIN'], ['login', 'LOGIN'], ['cram_md5', 'CRAM-MD5']] as const)('is sent after a login with %s', async (auth, method) => {
    const server = await mailServer({ credentials: certificate, login: { user: 'hm', password: 's3cret', method } });
    const smtp = { tls: true, ca: ca.certificate, auth, user: 'hm', password: 's3cret' };
    await deliver(plugin(server.port, smtp), testAlert());
    expect(server.mails).toMatchObject([{ user: 'hm', encrypted: true }]);
    await expect(deliver(plugin(server.port, { ...smtp, password: 'wrong' }), testAlert())).rejects.toThrow(/wrong password/);
  });

  it('is not delivered when the server refuses it or is not there', async () => {
    const server = await mailServer();
    server.refusal = { code: 451, text: 'come back later' };
    const email = plugin(server.port);
    await expect(deliver(email, testAlert())).rejects.toThrow(/451 come back later/);
    server.refusal = undefined;
    await deliver(email, testAlert());
    expect(server.mails).toHaveLength(1);
    await expect(deliver(plugin(await freePort(), { host: '127.0.0.1' }), testAlert())).rejects.toThrow(/ECONNREFUSED/);
  });

  it('carries any text as text', async () => {
    const server = await mailServer();
    await deliver(plugin(server.port), testAlert({ summary: 'line\r\n.\r\nRCPT TO:<x@y>' }));
    expect(server.mails).toMatchObject([{ to: ['one@example.com', 'two@example.com'] }]);
    expect(server.mails[0]?.text).toContain('Summary: line\r\n.\r\nRCPT TO:<x@y>\r\nTime');
  });
});

describe('the logger', () => {
  it('writes a line of text or the fields of the event', async () => {
    const lines: Record<string, unknown>[] = [];
    const log = createLog('info', {}, (line) => void lines.push(JSON.parse(line) as Record<string, unknown>));
    const events = ['alert', 'heartbeat'];
    const text = configuredPlugin({ name: 'logger', events, options: {} }, log);
    await deliver(text, testAlert());
    await beat(text, testHeartbeat());
    expect(lines.splice(0).map((line) => line.event)).toEqual([
      '[ALERT] Alert @ 2023-11-14 22:13:20 UTC, severity 2: agent-1 has been silent', '[HEARTBEAT] Heartbeat from web/uuid-1 (agent_id=agent-1 index=0) @ 2023-11-14 22:13:20 UTC',
    ]);
    const json = configuredPlugin({ name: 'logger', events, options: { format: 'json' } }, log);
    await deliver(json, testAlert());
    await beat(json, testHeartbeat());
    expect(lines).toMatchObject([{ event: 'alert', alert: { kind: 'alert', id: 'alert-1', severity: 2 } }, { event: 'heartbeat', heartbeat: { kind: 'heartbeat', agent_id: 'agent-1' } }]);
  });
});

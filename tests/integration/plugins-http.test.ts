import { createHmac } from 'node:crypto';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { alertEvent, type HeartbeatEvent } from '../../server/health/events';
import { createCa, issueServerCertificate, type Certificate } from '../../server/nats/credentials';
import { testAlert, testHeartbeat, until } from '../support/events';
import { startHttpProxy, startHttpRecorder, type HttpRecorder } from '../support/http-recorder';
import { beat, configuredPlugin, deliver } from '../support/plugins';

let ca: Certificate;
let server: Certificate;
let recorder: HttpRecorder;

beforeAll(async () => {
  ca = await createCa('test');
  server = await issueServerCertificate(ca, { cn: 'receiver', dnsNames: ['localhost'], ips: ['127.0.0.1'] });
});
beforeEach(async () => {
  recorder = await startHttpRecorder();
});
afterEach(() => recorder.stop());

const bodies = () => recorder.requests.map((request): unknown => JSON.parse(request.body));
const calls = () => recorder.requests.map((request) => `${request.method} ${request.path}`);

describe('a webhook', () => {
  it('posts the alert, signed together with the time of sending', async () => {
    const plugin = configuredPlugin({ name: 'webhook', options: { url: `${recorder.url}/hook?team=a`, secret: 'key', headers: { Authorization: 'Bearer x', 'Content-Type': 'text/plain' } } });
    await deliver(plugin, testAlert());
    const [request] = recorder.requests;
    expect(calls()).toEqual(['POST /hook?team=a']);
    expect(bodies()).toEqual([{ ...alertEvent(testAlert()), job: 'web', instance_id: 'uuid-1', agent_id: 'agent-1' }]);
    const timestamp = String(request?.headers['x-directorate-timestamp']);
    expect(Math.abs(Number(timestamp) - Date.now() / 1_000)).toBeLessThan(10);
    expect(request?.headers).toMatchObject({
      'content-type': 'application/json', authorization: 'Bearer x', 'x-directorate-delivery': 'alert-1',
      'x-directorate-signature': `sha256=${createHmac('sha256', 'key').update(`${timestamp}.${request?.body}`).digest('hex')}`,
    });
  });

  it('is delivered by 2xx only; a redirection is not followed', async () => {
    const plugin = configuredPlugin({ name: 'webhook', options: { url: `${recorder.url}/hook/t0p?token=t0p`, secret: 'key' } });
    recorder.answer = () => ({ status: 204 });
    await deliver(plugin, testAlert());
    for (const [status, body] of [[302, ''], [429, 'slow down'], [500, 'broken']] as const) {
      recorder.answer = () => ({ status, body });
      await expect(deliver(plugin, testAlert())).rejects.toThrow(new RegExp(`^POST ${recorder.url} answered ${status}: ${body}$`));
    }
    expect(recorder.requests).toHaveLength(4);
  });

  it('speaks https, and trusts whom it is told to', async () => {
    const secure = await startHttpRecorder(server);
    const options = { url: secure.url, secret: 'key' };
    await expect(deliver(configuredPlugin({ name: 'webhook', options }), testAlert())).rejects.toThrow(/certificate/);
    await deliver(configuredPlugin({ name: 'webhook', options: { ...options, ca: ca.certificate } }), testAlert());
    expect(secure.requests).toHaveLength(1);
    await secure.stop();
  });

  it('goes through a proxy: with https in a tunnel', async () => {
    const [secure, proxy] = [await startHttpRecorder(server), await startHttpProxy()];
    const options = { secret: 'key', ca: ca.certificate, http_proxy: proxy.url };
    await deliver(configuredPlugin({ name: 'webhook', options: { ...options, url: `${secure.url}/hook` } }), testAlert());
    await deliver(configuredPlugin({ name: 'webhook', options: { ...options, url: 'http://receiver.example/hook' } }), testAlert());
    expect(proxy.requests).toEqual([`CONNECT 127.0.0.1:${secure.port}`, 'POST http://receiver.example/hook']);
    expect(secure.requests.map((request) => request.path)).toEqual(['/hook']);
    const refused = { ...options, http_proxy: proxy.url.replace('user:password', 'user:wrong'), url: secure.url };
    await expect(deliver(configuredPlugin({ name: 'webhook', options: refused }), testAlert())).rejects.toThrow(/the proxy .* answered 407 to CONNECT/);
    await until(() => proxy.tunnels.size === 0);
    await Promise.all([secure.stop(), proxy.stop()]);
  });

  it('ends a call when it is told to', async () => {
    recorder.answer = undefined;
    const plugin = configuredPlugin({ name: 'webhook', options: { url: recorder.url, secret: 'key' } });
    if (plugin.alerts?.kind !== 'call') throw new Error('it takes calls');
    await expect(plugin.alerts.deliver([testAlert()], AbortSignal.timeout(100))).rejects.toThrow(/failed: The operation was aborted/);
  });

  it('takes ids that no header could have', async () => {
    await deliver(configuredPlugin({ name: 'webhook', options: { url: recorder.url, secret: 'key' } }), testAlert({ id: 'ä\r\nX: 1' }));
    expect(recorder.requests[0]?.headers['x-directorate-delivery']).toBe('???X: 1');
  });
});

describe('PagerDuty', () => {
  it('gets an incident of which the alert\'s id is the key', async () => {
    await deliver(configuredPlugin({ name: 'pagerduty', options: { service_key: 'sk', url: `${recorder.url}/generic/2010-04-15/create_event.json` } }), testAlert());
    expect(calls()).toEqual(['POST /generic/2010-04-15/create_event.json']);
    expect(bodies()).toEqual([{
      service_key: 'sk', event_type: 'trigger', incident_key: 'alert-1', description: 'Severity 2: dep: web(uuid-1) [id=agent-1] agent-1 has timed out', details: alertEvent(testAlert()),
    }]);
  });

  it('has its own address unless told otherwise', () => {
    expect(configuredPlugin({ name: 'pagerduty', id: 'pager', options: { service_key: 'sk' } })).toMatchObject({ key: 'pager', heartbeats: undefined });
  });
});

describe('Datadog', () => {
  const plugin = (more: Record<string, unknown> = {}) => configuredPlugin({ name: 'data_dog', options: { api_key: 'ak', application_key: 'app', custom_tags: { env: 'prod' }, url: recorder.url, ...more } });

  it('gets alerts as events', async () => {
    await deliver(plugin(), testAlert(), testAlert({ id: 'alert-2', severity: 4, deployment: undefined }));
    expect(calls()).toEqual(['POST /api/v1/events', 'POST /api/v1/events']);
    expect(recorder.requests[0]?.headers).toMatchObject({ 'dd-api-key': 'ak', 'content-type': 'application/json' });
    expect(bodies()).toEqual([
      {
        title: 'agent-1 has timed out', text: 'agent-1 has been silent', date_happened: 1_700_000_000, priority: 'normal', alert_type: 'error', aggregation_key: 'alert-1',
        tags: ['source:dep: web(uuid-1) [id=agent-1]', 'deployment:dep', 'env:prod'],
      },
      expect.objectContaining({ priority: 'low', alert_type: 'warning', tags: ['source:dep: web(uuid-1) [id=agent-1]', 'deployment:', 'env:prod'] }),
    ]);
  });

  it('mentions PagerDuty\'s service in urgent ones', async () => {
    await deliver(plugin({ pagerduty_service_name: 'ops' }), testAlert({ severity: 1, summary: 'x'.repeat(5_000) }), testAlert({ severity: 4 }));
    expect(bodies()).toMatchObject([{ text: `${'x'.repeat(3_995)} @ops` }, { text: 'agent-1 has been silent' }]);
  });

  it('gets heartbeats as metrics, many in one call', async () => {
    await beat(plugin(), testHeartbeat(), testHeartbeat({ agent: { agentId: 'agent-2', teams: [] } }));
    expect(calls()).toEqual(['POST /api/v1/series']);
    const tags = ['job:web', 'index:0', 'id:uuid-1', 'deployment:dep', 'agent:agent-1', 'team:t1', 'team:t2', 'env:prod'];
    const [body] = bodies();
    expect(body).toEqual({
      series: [
        { metric: 'bosh.healthmonitor.system.load.1m', points: [[1_700_000_000, 0.1]], type: 'gauge', tags },
        { metric: 'bosh.healthmonitor.system.mem.kb', points: [[1_700_000_000, 2048]], type: 'gauge', tags },
        { metric: 'bosh.healthmonitor.system.healthy', points: [[1_700_000_000, 1]], type: 'gauge', tags },
        ...Array.from({ length: 3 }, () => expect.objectContaining({ tags: ['job:web', 'index:0', 'id:uuid-1', 'deployment:dep', 'agent:agent-2', 'env:prod'] })),
      ],
    });
  });
});

describe('Consul', () => {
  const plugin = (more: Record<string, unknown>) => configuredPlugin({ name: 'consul_event_forwarder', options: { host: '127.0.0.1', port: recorder.port, ...more } });
  const short = (event: HeartbeatEvent) => ({ agent: event.agent_id, name: 'web/uuid-1', id: 'uuid-1', state: event.job_state, data: { cpu: [], dsk: { eph: [], sys: [] }, ld: ['0.10', '0.2', '0.3'], mem: ['2048'], swp: [] } });

  it('wants nothing until it is told what', () => {
    expect(plugin({})).toMatchObject({ alerts: undefined, heartbeats: undefined });
  });

  it('gets alerts as user events, in a namespace', async () => {
    await deliver(plugin({ events: true, namespace: 'ns_', params: 'token=t0p' }), testAlert());
    expect(calls()).toEqual(['PUT /v1/event/fire/ns_agent-1_has_timed_out?token=t0p']);
    expect(bodies()).toEqual([alertEvent(testAlert())]);
  });

  it('gets alerts that fit into its 512 bytes, with names that fit into its paths', async () => {
    await deliver(plugin({ events: true }), testAlert({ title: "director - begin 'a/b' #1?", summary: 'ü'.repeat(2_000) }));
    const [request] = recorder.requests;
    expect(request?.path).toBe("/v1/event/fire/director_-_begin_'a/b'_%231%3F");
    expect(Buffer.byteLength(request?.body ?? '')).toBeLessThanOrEqual(400);
    expect(bodies()).toMatchObject([{ id: 'alert-1', title: "director - begin 'a/b' #1?" }]);
  });

  it('gets heartbeats as TTL checks: registered first, then by state', async () => {
    const forwarder = plugin({ ttl: '120s', ttl_note: 'note' });
    for (const state of ['running', 'running', 'failing', 'unknown', 'stopped']) await beat(forwarder, testHeartbeat({ message: { job_state: state } }));
    expect(calls()).toEqual([
      'PUT /v1/agent/check/register', 'PUT /v1/agent/check/pass/web_uuid-1', 'PUT /v1/agent/check/fail/web_uuid-1', 'PUT /v1/agent/check/fail/web_uuid-1', 'PUT /v1/agent/check/warn/web_uuid-1',
    ]);
    expect(bodies().slice(0, 2)).toEqual([{ name: 'web_uuid-1', notes: 'note', ttl: '120s' }, short(testHeartbeat())]);
  });

  it('is told of a check again when it has forgotten it', async () => {
    const forwarder = plugin({ ttl: '120s' });
    await beat(forwarder, testHeartbeat());
    recorder.answer = ({ path }) => ({ status: path.includes('/pass/') ? 404 : 200, body: 'unknown check' });
    await expect(beat(forwarder, testHeartbeat())).rejects.toThrow(/answered 404: unknown check/);
    await beat(forwarder, testHeartbeat());
    expect(calls()).toEqual(['PUT /v1/agent/check/register', 'PUT /v1/agent/check/pass/web_uuid-1', 'PUT /v1/agent/check/register']);
  });

  it('gets heartbeats as events too where that is wanted, and alerts have nothing to do with TTLs', async () => {
    const forwarder = plugin({ events: true, heartbeats_as_alerts: true, ttl: '120s' });
    await beat(forwarder, testHeartbeat());
    expect(calls()).toEqual(['PUT /v1/event/fire/web_uuid-1', 'PUT /v1/agent/check/register']);
    expect(bodies()[0]).toEqual(short(testHeartbeat()));
    expect(plugin({ ttl: '1s' }).alerts).toBeUndefined();
    expect(plugin({ heartbeats_as_alerts: true }).heartbeats).toBeUndefined();
  });

  it('is asked over https where that is wanted', async () => {
    const secure = await startHttpRecorder(server);
    await deliver(plugin({ events: true, protocol: 'https', port: secure.port, ca: ca.certificate }), testAlert());
    expect(secure.requests).toHaveLength(1);
    await secure.stop();
  });
});


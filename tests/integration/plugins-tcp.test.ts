import { hostname } from 'node:os';
import { afterEach, describe, expect, it } from 'vitest';
import { sleep } from '../../server/core/clock';
import { createLog } from '../../server/core/log';
import type { Plugin } from '../../server/health/plugins/plugin';
import { never, testAlert, testHeartbeat, until } from '../support/events';
import { beat, configuredPlugin, deliver } from '../support/plugins';
import { freePort } from '../support/postgres';
import { startRiemann } from '../support/riemann-server';
import { startTcpSink } from '../support/tcp-sink';

const releasers: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const release of releasers.splice(0).toReversed()) await release();
});

function started(config: Record<string, unknown>, log?: ReturnType<typeof createLog>): Plugin {
  const plugin = configuredPlugin(config, log);
  plugin.start?.();
  releasers.push(async () => plugin.stop?.());
  return plugin;
}

async function sink(port = 0) {
  const server = await startTcpSink(port);
  releasers.push(() => server.stop());
  return server;
}

async function riemannServer() {
  const server = await startRiemann();
  releasers.push(() => server.stop());
  return server;
}

describe('TSDB', () => {
  it('gets a put line per metric, with sorted tags and no empty ones', async () => {
    const server = await sink();
    const plugin = started({ name: 'tsdb', options: { host: '127.0.0.1', port: server.port } });
    await until(() => server.connections === 1);
    await beat(plugin, testHeartbeat(), testHeartbeat({ agent: { index: undefined }, message: { job_state: 'failing', vitals: {} } }));
    await until(() => server.lines.length === 4);
    expect(server.lines).toEqual([
      'put system.load.1m 1700000000 0.10 deployment=dep id=uuid-1 index=0 job=web',
      'put system.mem.kb 1700000000 2048 deployment=dep id=uuid-1 index=0 job=web',
      'put system.healthy 1700000000 1 deployment=dep id=uuid-1 index=0 job=web',
      'put system.healthy 1700000000 0 deployment=dep id=uuid-1 job=web',
    ]);
  });

  it('has no use for alerts, although it may be given them', () => {
    expect(configuredPlugin({ name: 'tsdb', events: ['alert', 'heartbeat'], options: { host: 'x', port: 1 } }).alerts).toBeUndefined();
  });
});

describe('Graphite', () => {
  it('gets a line per metric, under a prefix', async () => {
    const server = await sink();
    const plugin = started({ name: 'graphite', options: { host: '127.0.0.1', port: server.port, prefix: 'bosh.hm' } });
    const plain = started({ name: 'graphite', options: { host: '127.0.0.1', port: server.port } });
    await until(() => server.connections === 2);
    await beat(plugin, testHeartbeat());
    await until(() => server.lines.length === 3);
    await beat(plain, testHeartbeat());
    await until(() => server.lines.length === 6);
    expect(server.lines.slice(0, 4)).toEqual([
      'bosh.hm.dep.web.uuid-1.agent-1.system_load_1m 0.10 1700000000',
      'bosh.hm.dep.web.uuid-1.agent-1.system_mem_kb 2048 1700000000',
      'bosh.hm.dep.web.uuid-1.agent-1.system_healthy 1 1700000000',
      'dep.web.uuid-1.agent-1.system_load_1m 0.10 1700000000',
    ]);
  });

  it('is connected again when the connection is lost; what comes meanwhile is lost', async () => {
    const port = await freePort();
    const first = await startTcpSink(port);
    const plugin = started({ name: 'graphite', options: { host: '127.0.0.1', port } });
    await until(() => first.connections === 1);
    await first.stop();
    await until(async () => (await beat(plugin, testHeartbeat()).catch((error: Error) => error.message)) === `graphite: no connection to 127.0.0.1:${port}`);
    const second = await sink(port);
    await until(() => second.connections === 1);
    expect(second.lines).toEqual([]);
    await beat(plugin, testHeartbeat());
    await until(() => second.lines.length === 3);
  });

  it('is tried after 0, 1, 3 s … and so often as is allowed', async () => {
    const lines: { event: string; delayS?: number; attempts?: number }[] = [];
    const log = createLog('info', {}, (line) => void lines.push(JSON.parse(line) as { event: string }));
    started({ name: 'graphite', options: { host: '127.0.0.1', port: await freePort(), max_retries: 2 } }, log);
    await until(() => lines.some((line) => line.event === 'plugin-gave-up'));
    expect(lines.map(({ event, delayS, attempts }) => ({ event, delayS, attempts }))).toEqual([
      { event: 'plugin-reconnects', delayS: 1, attempts: undefined },
      { event: 'plugin-gave-up', delayS: undefined, attempts: 2 },
    ]);
  });

  it('that does not read is left, instead of filling the memory', async () => {
    const server = await sink();
    const plugin = started({ name: 'graphite', options: { host: '127.0.0.1', port: server.port } });
    await until(() => server.connections === 1);
    server.pause();
    const many = Array.from({ length: 2_000 }, () => testHeartbeat());
    let error: unknown;
    for (let round = 0; round < 200 && error === undefined; round++) {
      error = await beat(plugin, ...many).catch((cause: unknown) => cause);
      await sleep(1);
    }
    expect(String(error)).toContain(`127.0.0.1:${server.port} does not read`);
    await until(() => server.connections === 2);
  });
});

describe('Riemann', () => {
  it('gets an alert as an event with the word of its severity', async () => {
    const server = await riemannServer();
    const plugin = started({ name: 'riemann', options: { host: '127.0.0.1', port: server.port } });
    await deliver(plugin, testAlert());
    expect(server.messages).toEqual([[{
      time: 1_700_000_000, timeMicros: 1_700_000_000_000_000, service: 'bosh.hm', host: hostname(), state: 'critical',
      attributes: {
        kind: 'alert', id: 'alert-1', severity: '2', category: 'vm_health', title: 'agent-1 has timed out', summary: 'agent-1 has been silent', source: 'dep: web(uuid-1) [id=agent-1]', deployment: 'dep',
        created_at: '1700000000',
      },
    }]]);
  });

  it('gets an event per metric of a heartbeat, without its vitals', async () => {
    const server = await riemannServer();
    const plugin = started({ name: 'riemann', options: { host: '127.0.0.1', port: server.port } });
    const event = testHeartbeat();
    await beat(plugin, event);
    const attributes = {
      kind: 'heartbeat', id: event.id, timestamp: '1700000000', deployment: 'dep', agent_id: 'agent-1', job: 'web', index: '0', instance_id: 'uuid-1', job_state: 'running', teams: '["t1","t2"]', number_of_processes: '3',
    };
    const [events = []] = server.messages;
    expect(events.map(({ sint64, double, float, ...rest }) => ({ ...rest, sint64, double, float: float === undefined ? undefined : Math.round(float * 100) / 100 }))).toEqual([
      { time: 1_700_000_000, timeMicros: 1_700_000_000_000_000, service: 'bosh.hm', host: hostname(), attributes: { ...attributes, name: 'system.load.1m' }, sint64: undefined, double: 0.1, float: 0.1 },
      { time: 1_700_000_000, timeMicros: 1_700_000_000_000_000, service: 'bosh.hm', host: hostname(), attributes: { ...attributes, name: 'system.mem.kb' }, sint64: undefined, double: 2048, float: 2048 },
      { time: 1_700_000_000, timeMicros: 1_700_000_000_000_000, service: 'bosh.hm', host: hostname(), attributes: { ...attributes, name: 'system.healthy' }, sint64: 1, double: undefined, float: 1 },
    ]);
  });

  it('has an alert when it says so, and on one connection', async () => {
    const server = await riemannServer();
    const plugin = started({ name: 'riemann', options: { host: '127.0.0.1', port: server.port } });
    await deliver(plugin, testAlert({ id: '1' }), testAlert({ id: '2' }));
    server.answer = { ok: false, error: 'index full' };
    await expect(deliver(plugin, testAlert())).rejects.toThrow('Riemann refused the events: index full');
    server.answer = 'close';
    await expect(deliver(plugin, testAlert())).rejects.toThrow('Riemann closed the connection');
    server.answer = { ok: true };
    await deliver(plugin, testAlert({ id: '3' }));
    expect(server.messages.map(([event]) => event?.attributes.id)).toEqual(['1', '2', 'alert-1', 'alert-1', '3']);
    expect(server.connections).toBe(3);
  });

  it('that says nothing holds nobody longer than the call may last', async () => {
    const server = await riemannServer();
    const plugin = started({ name: 'riemann', options: { host: '127.0.0.1', port: server.port } });
    server.answer = 'nothing';
    if (plugin.alerts?.kind !== 'call') throw new Error('it takes calls');
    await expect(plugin.alerts.deliver([testAlert()], AbortSignal.timeout(100))).rejects.toThrow(/timeout/);
    server.answer = { ok: true };
    await plugin.alerts.deliver([testAlert()], never);
    expect(server.connections).toBe(2);
  });

  it('that is not there is told by name', async () => {
    const port = await freePort();
    await expect(deliver(started({ name: 'riemann', options: { host: '127.0.0.1', port } }), testAlert())).rejects.toThrow(/the connection to Riemann failed: connect ECONNREFUSED/);
  });
});

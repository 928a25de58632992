import { describe, expect, it } from 'vitest';
import type { Alert } from '../alerts/alert';
import { alertEvent, alertLogText, alertPlainText, alertShortText, heartbeatEvent, heartbeatText, type HeartbeatAgent } from './events';

const alert: Alert = {
  seq: 7, storedAt: new Date(0), id: 'a1', dedupKey: 'k', origin: 'health_monitor', category: 'vm_health', severity: 2, title: 'x has timed out', summary: 'x has been silent', source: 'dep: web(u) [id=x]',
  deployment: 'dep', job: 'web', instanceId: 'u', agentId: 'x', createdAt: 1_700_000_000.7,
};
const agent: HeartbeatAgent = { agentId: 'agent-1', deployment: 'dep', teams: ['t'], group: 'web', index: 0, instanceUuid: 'uuid-1' };

describe('an alert', () => {
  it('has the JSON of the Ruby monitor, without what is internal', () => {
    expect(alertEvent(alert)).toEqual({
      kind: 'alert', id: 'a1', severity: 2, category: 'vm_health', title: 'x has timed out', summary: 'x has been silent', source: 'dep: web(u) [id=x]', deployment: 'dep', created_at: 1_700_000_000,
    });
    expect(alertEvent({ ...alert, category: undefined, deployment: undefined })).toMatchObject({ category: null, deployment: null });
  });

  it('has a short, a log and a plain text', () => {
    expect(alertShortText(alert)).toBe('Severity 2: dep: web(u) [id=x] x has timed out');
    expect(alertLogText(alert)).toBe('Alert @ 2023-11-14 22:13:20 UTC, severity 2: x has been silent');
    expect(alertPlainText(alert)).toBe('dep: web(u) [id=x]\nx has timed out\nSeverity: 2\nSummary: x has been silent\nTime: 2023-11-14 22:13:20 UTC\n');
  });
});

describe('a heartbeat', () => {
  const vitals = {
    load: ['0.10', '0.2', '0.3'], cpu: { user: '1.5', sys: '2', wait: '0.0' }, mem: { percent: '10', kb: '2048' }, swap: { percent: '0', kb: '0' },
    disk: { system: { percent: '40', inode_percent: '20' }, ephemeral: { percent: '5' } },
  };

  it('has the JSON of the Ruby monitor, with the metrics of its vitals', () => {
    const event = heartbeatEvent(agent, { job_state: 'running', vitals, number_of_processes: 3 }, 1_700_000_000_900);
    expect(event).toMatchObject({
      kind: 'heartbeat', timestamp: 1_700_000_000, deployment: 'dep', agent_id: 'agent-1', job: 'web', index: '0', instance_id: 'uuid-1', job_state: 'running', vitals, teams: ['t'], number_of_processes: 3,
    });
    expect(event?.id).toMatch(/^[0-9a-f-]{36}$/);
    expect(event?.metrics.map((metric) => [metric.name, metric.value])).toEqual([
      ['system.load.1m', '0.10'], ['system.cpu.user', '1.5'], ['system.cpu.sys', '2'], ['system.cpu.wait', '0.0'], ['system.mem.percent', '10'], ['system.mem.kb', '2048'], ['system.swap.percent', '0'],
      ['system.swap.kb', '0'], ['system.disk.system.percent', '40'], ['system.disk.system.inode_percent', '20'], ['system.disk.ephemeral.percent', '5'], ['system.healthy', '1'],
    ]);
    expect(event?.metrics[0]).toEqual({ name: 'system.load.1m', value: '0.10', timestamp: 1_700_000_000, tags: { job: 'web', index: '0', id: 'uuid-1' } });
  });

  it('has only the health without vitals, and no number of processes unless told', () => {
    const event = heartbeatEvent({ ...agent, index: undefined }, { job_state: 'failing' }, 1_000);
    expect(event?.metrics).toEqual([{ name: 'system.healthy', value: '0', timestamp: 1, tags: { job: 'web', index: '', id: 'uuid-1' } }]);
    expect(event).not.toHaveProperty('number_of_processes');
    expect(event?.index).toBe('');
  });

  it('leaves out values that are no numbers', () => {
    const event = heartbeatEvent(agent, { vitals: { load: 'high', cpu: { user: '1\nput forged 1 1', sys: null, wait: '' }, mem: ['1'], disk: 'full' } }, 1_000);
    expect(event?.metrics.map((metric) => metric.name)).toEqual(['system.healthy']);
  });

  it.each([['deployment'], ['group'], ['instanceUuid']] as const)('of an agent without %s is none of the plugins\' business', (field) => {
    expect(heartbeatEvent({ ...agent, [field]: undefined }, {}, 0)).toBeUndefined();
  });

  it('of an agent that only compiles is none either', () => {
    expect(heartbeatEvent({ ...agent, compilation: true }, {}, 0)).toBeUndefined();
  });

  it('has a text', () => {
    const event = heartbeatEvent(agent, {}, 1_700_000_000_000);
    expect(event && heartbeatText(event)).toBe('Heartbeat from web/uuid-1 (agent_id=agent-1 index=0) @ 2023-11-14 22:13:20 UTC');
  });
});

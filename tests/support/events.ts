import type { Alert } from '../../server/alerts/alert';
import { sleep } from '../../server/core/clock';
import { heartbeatEvent, type HeartbeatAgent, type HeartbeatEvent, type HeartbeatMessage } from '../../server/health/events';

/** A stored alert of 2023-11-14 22:13:20 UTC. */
export function testAlert(over: Partial<Alert> = {}): Alert {
  return {
    seq: 1, storedAt: new Date(1_700_000_001_000), id: 'alert-1', dedupKey: 'alert-1', origin: 'health_monitor', category: 'vm_health', severity: 2, title: 'agent-1 has timed out',
    summary: 'agent-1 has been silent', source: 'dep: web(uuid-1) [id=agent-1]', deployment: 'dep', job: 'web', instanceId: 'uuid-1', agentId: 'agent-1', createdAt: 1_700_000_000, ...over,
  };
}

/** A heartbeat of 2023-11-14 22:13:20 UTC with the metrics `system.load.1m`, `system.mem.kb` and `system.healthy`. */
export function testHeartbeat(over: { agent?: Partial<HeartbeatAgent>; message?: HeartbeatMessage } = {}): HeartbeatEvent {
  const event = heartbeatEvent(
    { agentId: 'agent-1', deployment: 'dep', teams: ['t1', 't2'], group: 'web', index: 0, instanceUuid: 'uuid-1', ...over.agent },
    { job_state: 'running', vitals: { load: ['0.10', '0.2', '0.3'], mem: { kb: '2048' } }, number_of_processes: 3, ...over.message },
    1_700_000_000_000,
  );
  if (!event) throw new Error('a heartbeat of an instance was meant');
  return event;
}

/** Waits until `check` holds. */
export async function until(check: () => Promise<boolean> | boolean, withinMs = 5_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error('it did not happen in time');
    await sleep(5);
  }
}

/** The signal of a call that nobody ends. */
export const never = new AbortController().signal;

import { groupBy } from '../core/collections';
import type { ClusterState } from './cluster-state';
import { flag, type Family, type Sample } from './family';

/** What the database knows of the whole installation: equal on every node, up to a few seconds old. */
export const clusterFamilies: readonly Family<ClusterState>[] = [...leaseFamilies(), ...taskFamilies(), ...natsFamilies(), ...alertFamilies(), ...scheduleFamilies(), ...dnsFamilies()];

/** Samples of those that have a value. */
function known<T>(items: readonly T[], sample: (item: T) => { labels: Record<string, string>; value: number | null }): Sample[] {
  return items.map(sample).flatMap(({ labels, value }) => (value === null ? [] : [{ labels, value }]));
}

function leaseFamilies(): Family<ClusterState>[] {
  const component = ['component'];
  return [
    { name: 'directorate_lease_held', type: 'gauge', labels: component, help: 'Whether a node holds the lease of a component: 1 yes, 0 no',
      samples: ({ leases }) => leases.map((lease) => ({ labels: { component: lease.component }, value: flag(lease.held) })) },
    { name: 'directorate_lease_holder_info', type: 'gauge', labels: ['component', 'node', 'node_name'], help: 'The node that holds the lease of a component',
      samples: ({ leases }) => leases.flatMap(({ component, held, holder, holderName }) => (held && holder !== null ? [{ labels: { component, node: holder, node_name: holderName ?? '' }, value: 1 }] : [])) },
    { name: 'directorate_lease_epoch', type: 'gauge', labels: component, help: 'Epoch of the lease of a component; a new holder has a higher one',
      samples: ({ leases }) => leases.map((lease) => ({ labels: { component: lease.component }, value: lease.epoch })) },
    { name: 'directorate_lease_changes_total', type: 'counter', labels: component, help: 'How often the lease of a component was taken by a node, since the installation was made',
      samples: ({ leases }) => leases.map((lease) => ({ labels: { component: lease.component }, value: lease.epoch })) },
    { name: 'directorate_lease_age_seconds', type: 'gauge', labels: component, help: 'Since the present holder took the lease of a component',
      samples: ({ leases }) => known(leases, (lease) => ({ labels: { component: lease.component }, value: lease.held ? lease.acquiredSeconds : null })) },
    { name: 'directorate_lease_progress_age_seconds', type: 'gauge', labels: component, help: 'Since the holder last got on with the duty of a component',
      samples: ({ leases }) => known(leases, (lease) => ({ labels: { component: lease.component }, value: lease.held ? lease.progressSeconds : null })) },
    { name: 'directorate_lease_paused', type: 'gauge', labels: component, help: 'Whether an operator paused a component: 1 yes, 0 no',
      samples: ({ leases }) => leases.map((lease) => ({ labels: { component: lease.component }, value: flag(lease.paused) })) },
    { name: 'directorate_nodes', type: 'gauge', labels: ['state'], help: 'Director processes seen within the last hour, by state; lost ones have missed their beats',
      samples: ({ nodes }) => nodeStates.map((state) => ({ labels: { state }, value: nodes.find((found) => found.state === state)?.count ?? 0 })) },
  ];
}

const nodeStates = ['starting', 'ready', 'draining', 'stopped', 'lost'] as const;
const lanes = ['normal', 'urgent'] as const;

function taskFamilies(): Family<ClusterState>[] {
  const waiting = ({ tasks }: ClusterState, lane: string) => tasks.live.filter((live) => !live.owned && live.lane === lane);
  const running = ({ tasks }: ClusterState) => [...groupBy(tasks.live.filter((live) => live.owned), (live) => live.type)];
  return [
    { name: 'directorate_task_queue_depth', type: 'gauge', labels: ['lane'], help: 'Tasks that wait for a worker, those of lost nodes among them',
      samples: (state) => lanes.map((lane) => ({ labels: { lane }, value: waiting(state, lane).reduce((sum, live) => sum + live.count, 0) })) },
    { name: 'directorate_task_queue_age_seconds', type: 'gauge', labels: ['lane'], help: 'Since the oldest queued task was made; 0 when none is queued',
      samples: (state) => lanes.map((lane) => ({ labels: { lane }, value: Math.max(0, ...waiting(state, lane).filter((live) => live.state === 'queued').map((live) => live.oldestSeconds)) })) },
    { name: 'directorate_tasks_running', type: 'gauge', labels: ['type'], help: 'Tasks that a worker runs, by type; 0 for every other type that has tasks',
      samples: (state) => {
        const counts = new Map(running(state).map(([type, live]) => [type, live.reduce((sum, one) => sum + one.count, 0)]));
        return [...new Set([...state.tasks.types, ...counts.keys()])].map((type) => ({ labels: { type }, value: counts.get(type) ?? 0 }));
      } },
    { name: 'directorate_task_running_age_seconds', type: 'gauge', labels: ['type'], help: 'Since the longest running task of a type began',
      samples: (state) => running(state).map(([type, live]) => ({ labels: { type }, value: Math.max(...live.map((one) => one.oldestSeconds)) })) },
  ];
}

function natsFamilies(): Family<ClusterState>[] {
  return [
    { name: 'directorate_nats_server_heartbeat_age_seconds', type: 'gauge', labels: ['server'], help: 'Since the users file of a NATS server was last reported in force',
      samples: ({ nats }) => nats.appliers.map(({ server, heartbeatSeconds }) => ({ labels: { server }, value: heartbeatSeconds })) },
    { name: 'directorate_nats_server_users_behind', type: 'gauge', labels: ['server'], help: 'Revisions of the agents\' users that a NATS server has not applied',
      samples: ({ nats }) => nats.appliers.map(({ server, behind }) => ({ labels: { server }, value: behind })) },
    { name: 'directorate_nats_server_agents', type: 'gauge', labels: ['server'], help: 'Agents that were last connected to a NATS server',
      samples: ({ nats }) => nats.agents.map(({ server, count }) => ({ labels: { server }, value: count })) },
    { name: 'directorate_bus_moves_open', type: 'gauge', help: 'Moves of agents to other NATS servers that are not finished', samples: ({ busMoves }) => [{ value: busMoves.open }] },
    { name: 'directorate_bus_move_pending_agents', type: 'gauge', help: 'Agents that such a move has not told yet', samples: ({ busMoves }) => [{ value: busMoves.pendingAgents }] },
    { name: 'directorate_bus_move_failing_agents', type: 'gauge', help: 'Those of the agents that were tried at least once', samples: ({ busMoves }) => [{ value: busMoves.failingAgents }] },
  ];
}

const severities: Record<string, string> = { '1': 'alert', '2': 'critical', '3': 'error', '4': 'warning' };
const incidentKinds = ['agent_timeout', 'missing_vm', 'deaf_agent', 'rogue_agent', 'unmanaged_timeout'] as const;

function alertFamilies(): Family<ClusterState>[] {
  const plugins = ({ alerts }: ClusterState) => [...new Set([...alerts.open, ...alerts.givenUp].map(({ plugin }) => plugin))];
  const byPlugin = (state: ClusterState, value: (plugin: string) => number | undefined) => plugins(state).map((plugin) => ({ labels: { plugin }, value: value(plugin) ?? 0 }));
  return [
    { name: 'directorate_alerts_last_hour', type: 'gauge', labels: ['severity'], help: 'Alerts of the health monitor stored within the last hour (at most the newest 10,000)', samples: alertSamples },
    { name: 'directorate_alerts_undispatched', type: 'gauge', help: 'Alerts that no plugin was given yet', samples: ({ alerts }) => [{ value: alerts.undispatched }] },
    { name: 'directorate_alert_deliveries_pending', type: 'gauge', labels: ['plugin'], help: 'Alerts on their way to a plugin',
      samples: (state) => byPlugin(state, (plugin) => state.alerts.open.find((open) => open.plugin === plugin)?.pending) },
    { name: 'directorate_alert_deliveries_failing', type: 'gauge', labels: ['plugin'], help: 'Those that a plugin failed to take at least once',
      samples: (state) => byPlugin(state, (plugin) => state.alerts.open.find((open) => open.plugin === plugin)?.failing) },
    { name: 'directorate_alert_deliveries_oldest_seconds', type: 'gauge', labels: ['plugin'], help: 'Since the oldest alert on its way to a plugin was stored; 0 when there is none',
      samples: (state) => byPlugin(state, (plugin) => state.alerts.open.find((open) => open.plugin === plugin)?.oldestSeconds) },
    { name: 'directorate_alert_deliveries_given_up', type: 'gauge', labels: ['plugin'], help: 'Alerts that a plugin did not take and that were given up within the last day (of the newest 10,000)',
      samples: (state) => byPlugin(state, (plugin) => state.alerts.givenUp.find((gone) => gone.plugin === plugin)?.count) },
    { name: 'directorate_incidents_open', type: 'gauge', labels: ['kind'], help: 'Conditions of agents and instances that have not ended',
      samples: ({ incidents }) => incidentKinds.map((kind) => ({ labels: { kind }, value: incidents.find((open) => open.kind === kind)?.count ?? 0 })) },
    { name: 'directorate_health_monitor_total', type: 'counter', labels: ['counter'], help: 'Counters of the health monitor and the resurrector, since the installation was made',
      samples: ({ counters }) => counters.map(({ name, value }) => ({ labels: { counter: name }, value })) },
  ];
}

function alertSamples({ alerts }: ClusterState): Sample[] {
  const found = new Map(Object.values(severities).map((word) => [word, 0]));
  for (const { severity, count } of alerts.recent) {
    const word = severities[severity] ?? 'other';
    found.set(word, (found.get(word) ?? 0) + count);
  }
  return [...found].map(([severity, value]) => ({ labels: { severity }, value }));
}

function scheduleFamilies(): Family<ClusterState>[] {
  const schedule = ['schedule'];
  return [
    { name: 'directorate_schedule_last_slot_age_seconds', type: 'gauge', labels: schedule, help: 'Since the newest time at which an entry of the schedule was due and was seen to',
      samples: ({ schedules }) => known(schedules, (entry) => ({ labels: { schedule: entry.schedule }, value: entry.lastSeconds })) },
    { name: 'directorate_schedule_last_slot_info', type: 'gauge', labels: ['schedule', 'outcome', 'task_state'], help: 'What became of the newest such time, and of its task',
      samples: ({ schedules }) => schedules.flatMap((entry) => (entry.lastOutcome === null ? [] : [{ labels: { schedule: entry.schedule, outcome: entry.lastOutcome, task_state: entry.lastTaskState ?? '' }, value: 1 }])) },
    { name: 'directorate_schedule_next_slot_seconds', type: 'gauge', labels: schedule, help: 'Until an entry of the schedule is due; negative when it is overdue',
      samples: ({ schedules }) => known(schedules, (entry) => ({ labels: { schedule: entry.schedule }, value: entry.nextSeconds })) },
    { name: 'directorate_schedule_overdue_seconds', type: 'gauge', labels: schedule, help: 'Since an entry of the schedule that is not paused was due and was not seen to; 0 otherwise',
      samples: ({ schedules }) => schedules.map((entry) => ({ labels: { schedule: entry.schedule }, value: entry.overdueSeconds })) },
    { name: 'directorate_schedule_paused', type: 'gauge', labels: schedule, help: 'Whether an entry of the schedule is paused: 1 yes, 0 no',
      samples: ({ schedules }) => schedules.map((entry) => ({ labels: { schedule: entry.schedule }, value: flag(entry.paused) })) },
  ];
}

function dnsFamilies(): Family<ClusterState>[] {
  return [
    { name: 'directorate_dns_version', type: 'gauge', help: 'Version of the published DNS records; 0 before the first', samples: ({ dns }) => [{ value: dns.version }] },
    { name: 'directorate_dns_agents_behind', type: 'gauge', help: 'Agents that have not confirmed that version', samples: ({ dns }) => [{ value: dns.agentsBehind }] },
  ];
}

import type { Db } from '../../db/client';
import { listConfigs, type StoredConfig } from '../configs/store';
import { isResurrectionPaused } from '../instances/store';
import {
  countAgentsByNatsServer, countDynamicAddresses, countGivenUpDeliveries, countLiveTasks, countNodes, countOpenDeliveries, countOpenIncidentsByKind, countRecentAlerts, countUndispatchedAlerts,
  findRecentAlertSeq,
  hasDeployConfig, listHealthCounters, listLeaseStates, listNatsAppliers, listScheduleStates, listTaskTypes, readBusMoves, readDnsState,
} from './store';

/** What the database knows of the installation, as far as metrics tell it. */
export interface ClusterState {
  tasks: { live: Awaited<ReturnType<typeof countLiveTasks>>; types: string[] };
  leases: Awaited<ReturnType<typeof listLeaseStates>>;
  nodes: Awaited<ReturnType<typeof countNodes>>;
  nats: { appliers: Awaited<ReturnType<typeof listNatsAppliers>>; agents: Awaited<ReturnType<typeof countAgentsByNatsServer>> };
  alerts: {
    recent: Awaited<ReturnType<typeof countRecentAlerts>>;
    undispatched: number;
    open: Awaited<ReturnType<typeof countOpenDeliveries>>;
    givenUp: Awaited<ReturnType<typeof countGivenUpDeliveries>>;
  };
  incidents: Awaited<ReturnType<typeof countOpenIncidentsByKind>>;
  counters: Awaited<ReturnType<typeof listHealthCounters>>;
  schedules: Awaited<ReturnType<typeof listScheduleStates>>;
  dns: Awaited<ReturnType<typeof readDnsState>>;
  busMoves: Awaited<ReturnType<typeof readBusMoves>>;
  deployConfig: boolean;
  resurrectionPaused: boolean;
  /** Newest version of every cloud config. */
  cloudConfigs: readonly Pick<StoredConfig, 'id' | 'content'>[];
  dynamicAddresses: Awaited<ReturnType<typeof countDynamicAddresses>>;
}

/** Reads everything, one statement after another on one connection. */
export async function readClusterState(db: Db): Promise<ClusterState> {
  return {
    tasks: { live: await countLiveTasks(db), types: await listTaskTypes(db) },
    leases: await listLeaseStates(db),
    nodes: await countNodes(db),
    nats: { appliers: await listNatsAppliers(db), agents: await countAgentsByNatsServer(db) },
    alerts: await readAlerts(db),
    incidents: await countOpenIncidentsByKind(db),
    counters: await listHealthCounters(db),
    schedules: await listScheduleStates(db),
    dns: await readDnsState(db),
    busMoves: await readBusMoves(db),
    deployConfig: await hasDeployConfig(db),
    resurrectionPaused: await isResurrectionPaused(db),
    cloudConfigs: await listConfigs(db, { type: 'cloud', versions: 1 }),
    dynamicAddresses: await countDynamicAddresses(db),
  };
}

async function readAlerts(db: Db): Promise<ClusterState['alerts']> {
  const seq = await findRecentAlertSeq(db);
  return { recent: await countRecentAlerts(db, seq), undispatched: await countUndispatchedAlerts(db), open: await countOpenDeliveries(db), givenUp: await countGivenUpDeliveries(db, seq) };
}

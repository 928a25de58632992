import { setTimeout as wait } from 'node:timers/promises';
import type { Pace, SoakSystem } from './system';

/** Things that go wrong without any VM being at fault. Each resolves when the service that it took away is back. */
export interface Fault {
  name: string;
  run(system: SoakSystem, pace: Pace): Promise<void>;
}

export const faults: readonly Fault[] = [
  { name: 'node killed', run: async (system) => killNode(system, await anyNode(system)) },
  { name: 'leader of the health monitor killed', run: async (system) => killNode(system, await leader(system)) },
  {
    name: 'leader of the health monitor paused',
    run: async (system, pace) => {
      const node = await leader(system);
      system.embedded.kill(node, 'SIGSTOP');
      try {
        await wait(pace.pauseMs);
      } finally {
        system.embedded.kill(node, 'SIGCONT');
      }
      await nodesReady(system);
    },
  },
  {
    name: 'Postgres away',
    run: async (system, pace) => {
      await system.embedded.stop('postgres');
      try {
        await wait(pace.postgresAwayMs);
      } finally {
        await system.embedded.start('postgres');
      }
      await nodesReady(system);
    },
  },
  {
    name: 'NATS server killed',
    run: async (system) => {
      system.embedded.kill(`nats-${1 + Math.floor(Math.random() * 3)}`);
      await wait(500);
      await nodesReady(system);
    },
  },
  {
    name: 'NATS server swallows packets',
    run: async (system, pace) => {
      const relay = system.relays[Math.floor(Math.random() * system.relays.length)];
      relay?.blackhole();
      try {
        await wait(pace.blackHoleMs);
      } finally {
        relay?.heal();
      }
      await nodesReady(system);
    },
  },
  {
    name: 'all NATS servers restarted',
    run: async (system) => {
      await Promise.all([1, 2, 3].map((n) => system.embedded.restart(`nats-${n}`)));
      await nodesReady(system);
    },
  },
];

async function killNode(system: SoakSystem, node: string): Promise<void> {
  system.embedded.kill(node);
  await wait(500);
  await nodesReady(system);
}

async function anyNode(system: SoakSystem): Promise<string> {
  return system.embedded.nodes[Math.floor(Math.random() * system.embedded.nodes.length)]?.name ?? 'A';
}

async function leader(system: SoakSystem): Promise<string> {
  const { rows } = await system.db.query<{ name: string }>("SELECT n.name FROM leases l JOIN director_nodes n ON n.id = l.holder WHERE l.name = 'health-monitor'");
  return rows[0]?.name ?? anyNode(system);
}

/** Every node beats and says that it is ready, and the health monitor has a holder. */
export async function nodesReady(system: SoakSystem, withinMs = 90_000): Promise<void> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    const { rows } = await system.db
      .query<{ nodes: number; leaders: number }>(
        `SELECT (SELECT count(DISTINCT name)::int FROM director_nodes WHERE state = 'ready' AND heartbeat_at > now() - interval '2 seconds') AS nodes,
                (SELECT count(*)::int FROM leases WHERE name = 'health-monitor' AND expires_at > now()) AS leaders`)
      .catch(() => ({ rows: [] }));
    if (rows[0]?.nodes === system.embedded.nodes.length && rows[0].leaders === 1) return;
    if (performance.now() > deadline) throw new Error(`the nodes were not ready ${withinMs / 1_000} s after a fault`);
    await wait(100);
  }
}

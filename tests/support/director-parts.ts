import { resolve } from 'node:path';
import { connect, type Connections } from '../../db/client';
import { migrate, readMigrations } from '../../db/migrate';
import type { Blobstore } from '../../server/blobstore/blobstore';
import type { Component } from '../../server/cluster/component';
import { ComponentRunner } from '../../server/cluster/component-runner';
import { Heart } from '../../server/cluster/heart';
import { NodeRegistration } from '../../server/cluster/nodes';
import { Notifications } from '../../server/cluster/notifications';
import { silentLog } from '../../server/core/log';
import { createReaper } from '../../server/tasks/reaper';
import { WorkerPool, type PerformTask } from '../../server/tasks/worker-pool';
import { openBlobstore } from '../../server/blobstore/open-blobstore';
import { testDatabase } from './postgres';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A migrated database of one test file, and a blobstore. */
export interface TestStore {
  url: string;
  connections: Connections;
  blobstore: Blobstore;
  close(): Promise<void>;
}

export async function testStore(): Promise<TestStore> {
  const database = await testDatabase();
  const connections = connect({ url: database.url, poolSize: 8, onConnectionError: () => undefined });
  const client = await connections.dedicated();
  await migrate(client, await readMigrations(resolve(__dirname, '../../db/migrations')));
  await client.end();
  const folder = await mkdtemp(join(tmpdir(), 'directorate-blobs-'));
  return {
    url: database.url,
    connections,
    blobstore: await openBlobstore({ provider: 'local', path: folder }),
    close: async () => {
      await connections.close();
      await database.drop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** One node without its servers: beats, components and workers, inside the test's process. */
export interface TestNode {
  name: string;
  node: NodeRegistration;
  heart: Heart;
  runner: ComponentRunner;
  pool: WorkerPool;
  notifications: Notifications;
  connections: Connections;
  /** Stops as SIGTERM does. */
  stop(): Promise<void>;
}

export interface TestNodeOptions {
  store: TestStore;
  name: string;
  perform: PerformTask;
  components?: readonly Component[];
  onNodeLoss?: (type: string) => 'converge' | 'fail';
  slots?: { normal: number; urgent: number };
}

export async function startTestNode(options: TestNodeOptions): Promise<TestNode> {
  const connections = connect({ url: options.store.url, poolSize: 8, onConnectionError: () => undefined });
  const heart = new Heart(connections, silentLog);
  const node = new NodeRegistration({ name: options.name, url: `https://${options.name}`, roles: ['worker', 'components'], version: 'test' });
  node.setState('ready');
  heart.register(node);
  const notifications = new Notifications(connections, silentLog);
  notifications.start();
  await heart.start();
  const reaper = createReaper({ db: connections.db, heart, onNodeLoss: options.onNodeLoss ?? (() => 'converge') });
  const runner = new ComponentRunner([reaper, ...(options.components ?? [])], { connections, notifications, heart, node, log: silentLog });
  await runner.start();
  const pool = new WorkerPool(options.slots ?? { normal: 2, urgent: 1 }, options.perform, { connections, notifications, heart, node, blobstore: options.store.blobstore, log: silentLog, version: 'test' });
  pool.start();
  let ended = false;
  const end = async () => {
    if (ended) return;
    ended = true;
    await notifications.stop();
    await heart.stop();
    await connections.close();
  };
  return {
    name: options.name, node, heart, runner, pool, notifications, connections,
    stop: async () => {
      await runner.stop();
      await pool.stop();
      await end();
    },
  };
}

import type { Component } from './cluster/component';
import { createSweeper } from './deploy/sweep';
import { createCompaction } from './tasks/compaction';
import { createReaper } from './tasks/reaper';
import type { Blobstore } from './blobstore/blobstore';
import type { Heart } from './cluster/heart';
import type { Database } from '../db/client';

/** Every duty of which the cluster has one actor. */
export function createComponents(deps: { db: Database; heart: Heart; blobstore: Blobstore; onNodeLoss: (type: string) => 'converge' | 'fail' }): Component[] {
  return [createReaper(deps), createCompaction(deps), createSweeper(deps.db)];
}

import type { Tx } from '../../db/client';
import type { Log } from '../core/log';

/** What a component's duty has in its hands while it holds the lease. */
export interface ComponentContext {
  readonly epoch: number;
  /** Aborts when the lease is lost, given up, paused or moved. */
  readonly signal: AbortSignal;
  readonly log: Log;
  /** True while the local deadline has not passed: check before an effect outside the database. */
  holds(): boolean;
  /** Says that a long round is getting on: one without progress costs the lease. */
  progress(): void;
  /** A transaction that commits only while the lease is held at this epoch. */
  write<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
}

/** A duty of which the cluster has one actor. */
export interface Component {
  readonly name: string;
  /** ms between two runs of `tick` (a wake-up may make it sooner). */
  readonly intervalMs: number;
  /** One round of the duty; short, safe to repeat. A failure is logged and the next round tries again. */
  tick(ctx: ComponentContext): Promise<void>;
}

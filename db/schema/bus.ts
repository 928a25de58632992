import { bigint, bigserial, integer, pgTable, primaryKey, text, uuid } from 'drizzle-orm/pg-core';
import { instant } from './columns';

/** NATS servers that VMs shall use: of an AZ, or (az '') of every VM whose AZ has no row. Without any row: those of the configuration. */
export const busTargets = pgTable('bus_targets', {
  az: text('az').primaryKey(),
  urls: text('urls').array().notNull(),
  moveId: bigint('move_id', { mode: 'number' }).notNull(),
  updatedAt: instant('updated_at').notNull().defaultNow(),
});

/** An operation that gives VMs another list of NATS servers, or certificates of another CA. */
export const busMoves = pgTable('bus_moves', {
  id: bigserial('id', { mode: 'number' }).primaryKey(),
  /** Null: every VM. */
  az: text('az'),
  urls: text('urls').array().notNull(),
  /** SHA-1 of the CA bundle of the node that accepted it: others must have the same. */
  caSha1: text('ca_sha1').notNull(),
  username: text('username').notNull(),
  /** Why nobody can go on with it at present. */
  problem: text('problem'),
  createdAt: instant('created_at').notNull().defaultNow(),
  finishedAt: instant('finished_at'),
  supersededBy: bigint('superseded_by', { mode: 'number' }),
});

/** One agent of a move. `gone`: its VM was deleted before it could be told; `superseded`: a newer move tells it. */
export const busMoveAgents = pgTable(
  'bus_move_agents',
  {
    moveId: bigint('move_id', { mode: 'number' }).notNull().references(() => busMoves.id, { onDelete: 'cascade' }),
    agentId: uuid('agent_id').notNull(),
    state: text('state').$type<'pending' | 'told' | 'gone' | 'superseded'>().notNull().default('pending'),
    attempts: integer('attempts').notNull().default(0),
    nextAttemptAt: instant('next_attempt_at').notNull().defaultNow(),
    /** Last time that it was sent: it may have what it was sent, and not have come back. */
    sentAt: instant('sent_at'),
    error: text('error'),
    updatedAt: instant('updated_at').notNull().defaultNow(),
  },
  (t) => [primaryKey({ columns: [t.moveId, t.agentId] })],
);

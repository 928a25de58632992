import { boolean, index, pgTable, serial, text } from 'drizzle-orm/pg-core';
import { instant } from './columns';

/** Configs of all types; append-only. The current one is the newest of a type and name that is not deleted. */
export const configs = pgTable(
  'configs',
  {
    id: serial('id').primaryKey(),
    type: text('type').notNull(),
    name: text('name').notNull(),
    content: text('content').notNull(),
    team: text('team'),
    deleted: boolean('deleted').notNull().default(false),
    createdAt: instant('created_at').notNull().defaultNow(),
  },
  (t) => [index('configs_type_name').on(t.type, t.name, t.id)],
);

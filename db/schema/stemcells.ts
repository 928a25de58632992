import { bigint, integer, pgTable, serial, text, uniqueIndex } from 'drizzle-orm/pg-core';
import { instant } from './columns';

export const stemcells = pgTable(
  'stemcells',
  {
    id: serial('id').primaryKey(),
    name: text('name').notNull(),
    version: text('version').notNull(),
    operatingSystem: text('operating_system').notNull(),
    /** Null while `create_stemcell` is under way. */
    cid: text('cid'),
    cpi: text('cpi').notNull().default(''),
    apiVersion: integer('api_version'),
    sha1: text('sha1').notNull().default(''),
    /** The task that wrote the intent. */
    taskId: bigint('task_id', { mode: 'number' }),
    createdAt: instant('created_at').notNull().defaultNow(),
  },
  (t) => [uniqueIndex('stemcells_unique').on(t.name, t.version, t.cpi)],
);

/** Which CPIs have been offered which stemcell, even where they did not support it. */
export const stemcellUploads = pgTable(
  'stemcell_uploads',
  {
    id: serial('id').primaryKey(),
    name: text('name').notNull(),
    version: text('version').notNull(),
    cpi: text('cpi').notNull().default(''),
  },
  (t) => [uniqueIndex('stemcell_uploads_unique').on(t.name, t.version, t.cpi)],
);

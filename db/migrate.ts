import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';

/**
 * Numbered SQL migrations, expand-then-contract. The first line of each file says whether nodes that do not know
 * it may go on (`-- breaking: no`) or not (`-- breaking: yes`).
 */
export interface Migration {
  version: number;
  name: string;
  breaking: boolean;
  sql: string;
}

/** Any number, the same on every node: serialises migrating nodes. */
const advisoryLock = 7_202_601;

/** Reads `NNNN_name.sql` files in order. Throws when a file has no breaking mark or two have one number. */
export async function readMigrations(folder: string): Promise<Migration[]> {
  const files = (await readdir(folder)).filter((file) => file.endsWith('.sql')).sort();
  const migrations = await Promise.all(
    files.map(async (file) => {
      const sql = await readFile(join(folder, file), 'utf8');
      const mark = /^-- breaking: (yes|no)\n/.exec(sql);
      const number = /^(\d{4})_/.exec(file);
      if (!mark || !number) throw new Error(`migration ${file}: wants a name like 0001_x.sql and a first line "-- breaking: yes" or "-- breaking: no"`);
      return { version: Number(number[1]), name: file, breaking: mark[1] === 'yes', sql };
    }),
  );
  const repeated = migrations.find(({ version }, i) => migrations[i - 1]?.version === version);
  if (repeated) throw new Error(`migration ${repeated.name}: its number is another one's too`);
  return migrations;
}

/**
 * Applies what the database has not got yet, in order, one node at a time.
 * Throws when the database is newer than this program and the newer part is marked breaking.
 */
export async function migrate(client: pg.Client, migrations: readonly Migration[]): Promise<{ applied: string[] }> {
  await client.query('SELECT pg_advisory_lock($1)', [advisoryLock]);
  try {
    await client.query('CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, name text NOT NULL, breaking boolean NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())');
    const { rows } = await client.query<{ version: number; name: string; breaking: boolean }>('SELECT version, name, breaking FROM schema_migrations ORDER BY version');
    const known = new Set(migrations.map((migration) => migration.version));
    const present = new Set(rows.map((row) => row.version));
    const breaking = rows.find((row) => row.breaking && !known.has(row.version));
    if (breaking) throw new Error(`the database has the breaking migration ${breaking.name}, which this version does not know: update this node`);
    const applied: string[] = [];
    for (const migration of migrations.filter(({ version }) => !present.has(version))) {
      await applyOne(client, migration);
      applied.push(migration.name);
    }
    return { applied };
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [advisoryLock]).catch(() => undefined);
  }
}

async function applyOne(client: pg.Client, migration: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(migration.sql);
    await client.query('INSERT INTO schema_migrations (version, name, breaking) VALUES ($1, $2, $3)', [migration.version, migration.name, migration.breaking]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw error;
  }
}

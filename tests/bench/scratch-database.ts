import { randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { connect } from '../../db/client';
import { migrate, readMigrations } from '../../db/migrate';

/** A database with all tables and nothing in them, beside the site's own on its Postgres. */
export async function makeDatabase(siteUrl: string): Promise<{ url: string; drop: () => Promise<unknown> }> {
  const name = `bench_${randomUUID().slice(0, 8)}`;
  const onSite = async (statement: string) => {
    const admin = connect({ url: siteUrl, poolSize: 1 });
    try {
      await admin.pool.query(statement);
    } finally {
      await admin.close();
    }
  };
  await onSite(`CREATE DATABASE ${name}`);
  const url = new URL(siteUrl);
  url.pathname = `/${name}`;
  const client = await connect({ url: url.href, poolSize: 1 }).dedicated();
  try {
    await migrate(client, await readMigrations(join(dirname(__dirname), 'db', 'migrations')));
  } finally {
    await client.end();
  }
  return { url: url.href, drop: () => onSite(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`) };
}

import { and, eq, gt, lte, sql } from 'drizzle-orm';
import type { Db } from '../../db/client';
import { sessions } from '../../db/schema/auth';

/** Sessions of the console; a session is known by the SHA-256 of its token. Expiry is by the database's clock. */

export async function insertSession(db: Db, session: { tokenSha256: string; username: string; ttlSeconds: number }): Promise<Date> {
  const [row] = await db
    .insert(sessions)
    .values({ tokenSha256: session.tokenSha256, username: session.username, expiresAt: sql`now() + make_interval(secs => ${session.ttlSeconds})` })
    .returning({ expiresAt: sessions.expiresAt });
  if (!row) throw new Error('the session was not stored');
  return row.expiresAt;
}

export async function findLiveSession(db: Db, tokenSha256: string): Promise<{ username: string; expiresAt: Date } | undefined> {
  const [row] = await db
    .select({ username: sessions.username, expiresAt: sessions.expiresAt })
    .from(sessions)
    .where(and(eq(sessions.tokenSha256, tokenSha256), gt(sessions.expiresAt, sql`now()`)));
  return row;
}

export async function removeSession(db: Db, tokenSha256: string): Promise<void> {
  await db.delete(sessions).where(eq(sessions.tokenSha256, tokenSha256));
}

/** Forgets sessions that have ended. */
export async function removeExpiredSessions(db: Db): Promise<void> {
  await db.delete(sessions).where(lte(sessions.expiresAt, sql`now()`));
}

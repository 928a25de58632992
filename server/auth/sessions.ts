import { randomBytes } from 'node:crypto';
import type { Db } from '../../db/client';
import { sha256Hex } from '../core/digest';
import type { IdentityProvider } from './identity';
import type { Principal } from './permissions';
import { findLiveSession, insertSession, removeExpiredSessions, removeSession } from './store';

/** How long a session of the console lasts, s. */
export const sessionTtlSeconds = 12 * 60 * 60;

/** Starts a session. The token is for the user's cookie only; what is stored cannot be turned back into it. */
export async function createSession(db: Db, principal: Principal): Promise<{ token: string; expiresAt: Date }> {
  const token = randomBytes(32).toString('base64url');
  await removeExpiredSessions(db);
  return { token, expiresAt: await insertSession(db, { tokenSha256: sha256Hex(token), username: principal.username, ttlSeconds: sessionTtlSeconds }) };
}

/** Whose session the token is, with the scopes that the user has now; undefined when it has ended or the user is gone. */
export async function findSession(deps: { db: Db; identity: Pick<IdentityProvider, 'find'> }, token: string): Promise<{ principal: Principal; expiresAt: Date } | undefined> {
  const session = await findLiveSession(deps.db, sha256Hex(token));
  const principal = session && deps.identity.find(session.username);
  return session && principal ? { principal, expiresAt: session.expiresAt } : undefined;
}

/** Ends a session; repeating it is harmless. */
export async function deleteSession(db: Db, token: string): Promise<void> {
  await removeSession(db, sha256Hex(token));
}

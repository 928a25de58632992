import { createHmac, randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock';
import { SerialQueue } from '../core/concurrency';
import { matchesPassword } from './password';
import type { Principal } from './permissions';

/** Tells who sends a request. */
export interface IdentityProvider {
  /** Who the `Authorization` header proves; undefined when it is absent or proves nothing. */
  authenticate(authorization: string | undefined): Promise<Principal | undefined>;
  /** Checks a name and password, as from the console's login form. */
  login(username: string, password: string): Promise<Principal | undefined>;
  /** The user of that name without a check, for sessions; undefined when there is no such user any more. */
  find(username: string): Principal | undefined;
}

export interface LocalUser {
  name: string;
  /** See `password.ts`. */
  password_hash: string;
  scopes: readonly string[];
}

/** A verified password is believed for this long without checking it again, ms. */
const rememberMs = 60_000;
/** Verified credentials remembered at most. */
const rememberAtMost = 1_000;
/** Checks that may wait; a flood of wrong passwords is refused beyond this, so that it cannot starve the node. */
const waitingAtMost = 200;

/** Checked for unknown names, so that the time of an answer does not tell which names exist. */
const nobody = `scrypt:${randomBytes(16).toString('hex')}:${randomBytes(32).toString('hex')}`;

/**
 * Users of the configuration file with HTTP Basic. Hashing is slow on purpose, so checks run one at a time and good
 * credentials are remembered, only as an HMAC under a key of this process.
 */
export function createLocalIdentity(users: readonly LocalUser[], clock: Pick<Clock, 'monotonic'>): IdentityProvider {
  const byName = new Map(users.map((user) => [user.name, user]));
  const key = randomBytes(32);
  const remembered = new Map<string, { principal: Principal; until: number }>();
  const pending = new Map<string, Promise<Principal | undefined>>();
  const checks = new SerialQueue();

  const digest = (username: string, password: string) => createHmac('sha256', key).update(`${username.length}:${username}:${password}`).digest('base64');
  const principalOf = (user: LocalUser): Principal => ({ username: user.name, scopes: user.scopes });

  const check = async (username: string, password: string, id: string): Promise<Principal | undefined> => {
    const user = byName.get(username);
    const matches = await matchesPassword(password, user?.password_hash ?? nobody);
    if (!user || !matches) return undefined;
    if (remembered.size >= rememberAtMost) remembered.clear();
    remembered.set(id, { principal: principalOf(user), until: clock.monotonic() + rememberMs });
    return principalOf(user);
  };

  const login = async (username: string, password: string): Promise<Principal | undefined> => {
    if (username === '' || password === '') return undefined;
    const id = digest(username, password);
    const known = remembered.get(id);
    if (known && known.until > clock.monotonic()) return known.principal;
    remembered.delete(id);
    const running = pending.get(id);
    if (running) return running;
    if (pending.size >= waitingAtMost) return undefined;
    const result = checks.run(() => check(username, password, id)).finally(() => pending.delete(id));
    pending.set(id, result);
    return result;
  };

  return {
    login,
    authenticate: async (authorization) => {
      const credentials = parseBasic(authorization);
      return credentials && login(credentials.username, credentials.password);
    },
    find: (username) => {
      const user = byName.get(username);
      return user && principalOf(user);
    },
  };
}

/** Name and password of a Basic header; undefined when it is not one. */
export function parseBasic(authorization: string | undefined): { username: string; password: string } | undefined {
  const encoded = /^basic\s+([A-Za-z0-9+/=_-]+)\s*$/i.exec(authorization ?? '')?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

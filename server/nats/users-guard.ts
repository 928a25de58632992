import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import type { NatsAgent } from './users';
import { replaceFile } from './users-file';

/**
 * What stands between a users file that works and a database that is not to be believed. Cutting agents off costs more than letting
 * deleted ones in for a while: a refused agent goes deaf until something restarts it.
 *
 * The file stays as it is when the database
 * - is away or answers nonsense (whoever asks it throws),
 * - belongs to another director than the one that the file came from, as after a wrong address or an empty new database,
 * - has gone back in time and knows no agents at all, as after restoring a backup from before the first deployment.
 * It is followed when it knows no agents and has not gone back (the last deployment was deleted), and when it has gone back and knows
 * some (a restored backup; a failover that lost the last moments): the database is the truth. A file that is missing,
 * empty or damaged protects nothing and is replaced by what the database says.
 */

/** Which director's agents a users file was made from; beside it as `<file>.origin`. */
export interface Origin {
  director: string;
  revision: number;
}

/** What the database says. */
export interface Told {
  /** The director's uuid; undefined before its first node has started. */
  director: string | undefined;
  revision: number;
  agents: readonly NatsAgent[];
}

const originSchema = z.object({ director: z.string(), revision: z.number() });
const usersFileSchema = z.object({ authorization: z.object({ users: z.array(z.object({ user: z.string() })) }) });

/** How many agents the file lets in; undefined when it is missing or no users file. */
export function countAgents(content: string | undefined): number | undefined {
  if (content === undefined) return undefined;
  try {
    const { users } = usersFileSchema.parse(JSON.parse(content)).authorization;
    return users.length === 0 ? undefined : users.filter(({ user }) => user.endsWith('.agent.bosh-internal')).length;
  } catch {
    return undefined;
  }
}

/** Why the database is not followed; undefined when it is. */
export function distrust(current: string | undefined, origin: Origin | undefined, told: Told): string | undefined {
  const reason = origin && doubtAbout(origin, told);
  // The file is read last: with many agents that takes a while.
  if (reason === undefined || (countAgents(current) ?? 0) === 0) return undefined;
  return `${reason}. The last good users file stays. If this database is the right one, remove the users file`;
}

function doubtAbout(origin: Origin, told: Told): string | undefined {
  if (told.director === undefined) return `the database is of no director, the users file was made for director ${origin.director}`;
  if (told.director !== origin.director) return `the database is of director ${told.director}, the users file was made for director ${origin.director}`;
  if (told.agents.length === 0 && told.revision < origin.revision) return `the database has gone back from revision ${origin.revision} to ${told.revision} and knows no agents`;
  return undefined;
}

/** Reads where a users file came from; undefined when that is not known. */
export async function readOrigin(usersFile: string): Promise<Origin | undefined> {
  const text = await readFile(`${usersFile}.origin`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return originSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** Notes where the file comes from; before the file is written, so that a death between the two repeats both. */
export async function writeOrigin(usersFile: string, told: Told): Promise<void> {
  if (told.director === undefined) return;
  await replaceFile(`${usersFile}.origin`, JSON.stringify({ director: told.director, revision: told.revision } satisfies Origin) + '\n');
}

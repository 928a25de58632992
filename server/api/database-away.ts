import { isTransient, retryTransient } from '../../db/client';

/** A request waits this long for a database that cannot be reached, ms. */
const waitMs = 8_000;

/** The database did not come back while a request waited for it; answered with 503. */
export class DatabaseAway extends Error {
  readonly reason: string;

  constructor(reason: unknown) {
    super('the database cannot be reached');
    this.name = 'DatabaseAway';
    this.reason = String(reason);
  }
}

/** Runs `work`, again while the database is away; so it must be safe to repeat. Throws DatabaseAway when that takes too long. */
export async function withDatabase<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isTransient(error)) throw error;
    const patience = AbortSignal.timeout(waitMs);
    return retryTransient(work, patience).catch((later: unknown) => {
      throw later === patience.reason ? new DatabaseAway(error) : later;
    });
  }
}

import { setMaxListeners } from 'node:events';

/** Time as the code sees it. Leases and locks use the database clock; this one is for local deadlines and waiting. */
export interface Clock {
  /** Wall clock in epoch ms. */
  now(): number;
  /** Monotonic ms; never goes back; keeps counting while the process is stopped by a signal. */
  monotonic(): number;
  /** Resolves after `ms`, rejects with the signal's reason when it aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep,
};

/** Resolves after `ms`; rejects with the signal's reason when it aborts first. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(abortReason(signal));
    const onAbort = () => {
      clearTimeout(timer);
      if (signal) reject(abortReason(signal));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** The reason of an aborted signal as an Error. */
export function abortReason(signal: AbortSignal): Error {
  return signal.reason instanceof Error ? signal.reason : new Error('aborted');
}

/**
 * A signal that aborts as the first of these does, until `release`. For signals that live long: `AbortSignal.any` leaves something behind at each of
 * them with every call, for ever (https://github.com/nodejs/node/issues/54614), and fails in the end.
 */
export function firstToAbort(...signals: readonly AbortSignal[]): { signal: AbortSignal; release: () => void } {
  const first = new AbortController();
  // However many wait at once: each takes its listener away.
  setMaxListeners(0, ...signals);
  const abort = ({ target }: Pick<Event, 'target'>) => first.abort(target instanceof AbortSignal ? target.reason : undefined);
  for (const signal of signals) {
    if (signal.aborted) abort({ target: signal });
    else signal.addEventListener('abort', abort, { once: true });
  }
  return {
    signal: first.signal,
    release: () => {
      for (const signal of signals) signal.removeEventListener('abort', abort);
    },
  };
}

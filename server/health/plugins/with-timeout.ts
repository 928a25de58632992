import { abortReason } from '../../core/clock';

/**
 * Calls foreign code that may hang, throw or ignore its signal: the result is there, or an error is thrown, after `ms` at most and when the
 * signal aborts. The call's own signal aborts then too; what it does afterwards is nobody's.
 */
export async function withTimeout<T>(call: (signal: AbortSignal) => Promise<T>, { ms, signal }: { ms: number; signal: AbortSignal }): Promise<T> {
  if (signal.aborted) throw abortReason(signal);
  const own = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  let onAbort: (() => void) | undefined;
  const ended = new Promise<never>((_resolve, reject) => {
    const end = (reason: Error) => {
      reject(reason);
      own.abort(reason);
    };
    timer = setTimeout(() => end(new Error(`no result after ${ms / 1_000} s`)), ms);
    onAbort = () => end(abortReason(signal));
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([ended, (async () => call(own.signal))()]);
  } finally {
    clearTimeout(timer);
    if (onAbort) signal.removeEventListener('abort', onAbort);
  }
}

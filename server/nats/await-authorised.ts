import type { Database } from '../../db/client';
import { sleep } from '../core/clock';
import { code, DirectorError } from '../core/errors';
import { listLiveAppliers, readUsersRevision } from './store';

export interface AwaitAuthorisedOptions {
  signal: AbortSignal;
  /** Told when no NATS server has an applier: the agents are let in by other arrangements, or not at all. */
  warn: (text: string) => void;
  /** Default 15 s: longer than it takes until a server that died in the middle of this counts as not alive. */
  longestMs?: number;
}

const pollMs = 20;

/**
 * Resolves when every NATS server that is alive lets in the agents that are recorded now. Call it after the VM's row is
 * committed and before `create_vm`: an agent that is refused twice by a server gives up for good (nats.go closes the connection).
 * A server that comes back later reads the current users before it takes connections.
 *
 * Throws DirectorError 450002 that names the servers that lag. Has no effect of its own: it can be cut short anywhere.
 */
export async function awaitAuthorised(db: Database, options: AwaitAuthorisedOptions): Promise<void> {
  const { signal } = options;
  const revision = await readUsersRevision(db, signal);
  const deadline = performance.now() + (options.longestMs ?? 15_000);
  for (;;) {
    const appliers = await listLiveAppliers(db, signal);
    if (appliers.length === 0) {
      options.warn('No NATS server reports which agents it lets in: going on without waiting. Run `directorate nats-auth` beside each NATS server, or see to it yourself that new agents are authorised');
      return;
    }
    const lagging = appliers.filter((applier) => applier.appliedRevision < revision);
    if (lagging.length === 0) return;
    if (performance.now() >= deadline) throw lags(lagging.map(({ serverName, address }) => (address ? `${serverName} (${address})` : serverName)));
    await sleep(pollMs, signal);
  }
}

function lags(servers: readonly string[]): DirectorError {
  return new DirectorError(
    code.rpcTimeout,
    `Timed out waiting for the NATS server${servers.length > 1 ? 's' : ''} ${servers.join(', ')} to let new agents in. Check the users applier beside ${servers.length > 1 ? 'them' : 'it'} and deploy again`,
  );
}

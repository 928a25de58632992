import { parseArgs } from 'node:util';
import { createLog } from '../../core/log';
import { Simulator } from './simulator';
import { runSwarm } from './swarm-program';

/**
 * The simulator as a program: `node simulator.cjs --state <state directory of the local cloud> [--heartbeat-ms 30000]` for the VMs of a
 * local cloud, or `node simulator.cjs --swarm <file>` for thousands of agents of nobody's.
 */
function main(): void {
  const { values } = parseArgs({ options: { state: { type: 'string' }, 'heartbeat-ms': { type: 'string', default: '30000' }, swarm: { type: 'string' } } });
  if (values.swarm !== undefined) {
    runSwarm(values.swarm).then(
      () => process.exit(0),
      (error: unknown) => {
        process.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
        process.exit(1);
      },
    );
    return;
  }
  const heartbeatIntervalMs = Number(values['heartbeat-ms']);
  if (values.state === undefined || !Number.isInteger(heartbeatIntervalMs) || heartbeatIntervalMs < 10) {
    process.stderr.write('usage: simulator --state <state directory of the local cloud> [--heartbeat-ms <at least 10>]\n       simulator --swarm <file>\n');
    process.exit(1);
  }
  const simulator = new Simulator({ stateDir: values.state, heartbeatIntervalMs, log: createLog('warn') });
  simulator.start();
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => void simulator.stop().finally(() => process.exit(0)));
  }
}

main();

import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { loadConfig } from '../core/config';
import { createLog } from '../core/log';
import { NatsAuthApplier } from '../nats/auth-applier';
import { readSubject } from '../nats/credentials';
import { commandLine } from './process-table';

/**
 * `directorate nats-auth`: runs beside each nats-server of a production cluster, under the same user, and keeps its
 * users file equal to the agents of the director. The server's configuration must `include` that file.
 */
const usage = `Usage: directorate nats-auth --config FILE --server-name NAME --users-file FILE --pid-file FILE
                            [--address nats://HOST:PORT] [--monitor-url http://127.0.0.1:8222]

  --config       the director's configuration; its database and the certificates of its NATS clients are used
  --server-name  name of this NATS server, unique in the cluster
  --users-file   the file that the configuration of the server includes
  --pid-file     the server's pid file
  --address      where agents reach the server, as operators see it
  --monitor-url  the server's monitoring endpoint; lets reloads be confirmed instead of waited for
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      help: { type: 'boolean', short: 'h', default: false },
      config: { type: 'string' },
      'server-name': { type: 'string' },
      'users-file': { type: 'string' },
      'pid-file': { type: 'string' },
      address: { type: 'string', default: '' },
      'monitor-url': { type: 'string' },
    },
  });
  if (values.help) return void process.stdout.write(usage);
  const { config: configPath, 'server-name': serverName, 'users-file': usersFile, 'pid-file': pidFile } = values;
  if (!configPath || !serverName || !usersFile || !pidFile) throw new Error(usage);
  const config = loadConfig(configPath, process.env);
  const applier = new NatsAuthApplier({
    databaseUrl: config.database.url,
    databaseCa: config.database.ca,
    serverName,
    address: values.address,
    usersFile,
    directorSubject: readSubject(config.nats.director.certificate),
    hmSubject: readSubject(config.nats.health_monitor.certificate),
    findPid: () => findServer(pidFile),
    monitorUrl: values['monitor-url'],
    log: createLog(config.log_level),
  });
  applier.start();
  const stop = () => void applier.stop();
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
}

/** The pid in the file, if a nats-server runs under it: a signal must never reach another program. */
async function findServer(pidFile: string): Promise<number | undefined> {
  const pid = Number((await readFile(pidFile, 'utf8').catch(() => '')).trim());
  return Number.isInteger(pid) && pid > 0 && commandLine(pid).includes('nats-server') ? pid : undefined;
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

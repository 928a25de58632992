import { dirname, join, resolve } from 'node:path';
import { version } from '../../package.json';
import { DirectorClient } from './director-client';
import { startEmbedded, type Embedded } from './embedded';
import { installSamples } from './install-samples';
import { Progress } from './progress';

/** `npm start`: the embedded default in the foreground until Ctrl-C, SIGTERM or the end of the terminal. */
async function main(stopped: AbortController): Promise<void> {
  const root = process.env.DIRECTORATE_ROOT ?? dirname(__dirname);
  const dataDir = resolve(process.env.DIRECTORATE_DATA ?? join(root, 'data'));
  const progress = new Progress(process.stdout);
  stopWithNpm(stopped);
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined); // a terminal that was closed
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort());
  const since = performance.now();
  progress.print(`${progress.bold('Directorate')} ${version}  ${progress.dim(dataDir)}`);
  const embedded = await startEmbedded({
    root,
    dataDir,
    port: numberIn('DIRECTORATE_PORT'),
    nodes: numberIn('DIRECTORATE_NODES') ?? 3,
    restartDelayMs: numberIn('DIRECTORATE_RESTART_DELAY_MS') ?? 2_000,
    step: progress.step,
    signal: stopped.signal,
  });
  try {
    await untilStopped(stopped.signal, async () => {
      if (process.env.DIRECTORATE_SAMPLES !== 'off') await bootstrap(embedded, progress, stopped.signal);
      if (!stopped.signal.aborted) progress.print(welcome(embedded, progress, (performance.now() - since) / 1000));
    });
  } finally {
    progress.print('');
    await embedded.stopAll();
  }
}

/** A signal to npm ends the shell between npm and this process, which hears nothing of it. */
function stopWithNpm(stopped: AbortController): void {
  if (process.env.npm_lifecycle_event === undefined) return;
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) stopped.abort();
  }, 250).unref();
}

async function bootstrap(embedded: Embedded, progress: Progress, signal: AbortSignal): Promise<void> {
  const { ca, client, clientSecret } = embedded.installation;
  const director = new DirectorClient({ url: embedded.url, ca, client, clientSecret });
  try {
    await installSamples(director, { port: embedded.layout.port, step: progress.step });
  } catch (error) {
    if (signal.aborted) return;
    progress.print(`  The samples are not complete: ${messageOf(error)}\n  The director runs; the next start tries again.`);
  }
}

/** Runs `work`, then waits for the end of the signal; a signal during `work` does not wait for it. */
async function untilStopped(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
  const aborted = new Promise<void>((done) => {
    if (signal.aborted) done();
    signal.addEventListener('abort', () => done(), { once: true });
  });
  const keepAlive = setInterval(() => undefined, 60_000);
  try {
    await Promise.race([aborted, work().then(() => aborted)]);
  } finally {
    clearInterval(keepAlive);
  }
}

function welcome({ url, installation, layout }: Embedded, progress: Progress, seconds: number): string {
  return `
  Ready in ${seconds.toFixed(0)} s. Ctrl-C stops everything; the state stays in ${layout.dataDir}

  ${progress.bold('Console')}   ${url}/console
  ${progress.bold('Log in')}    user ${installation.client}, password ${installation.clientSecret}  (also in ${layout.creds})

  ${progress.bold('bosh CLI')}
  export BOSH_ENVIRONMENT=${url}
  export BOSH_CA_CERT=${join(layout.certs, 'ca.crt')}
  export BOSH_CLIENT=${installation.client}
  export BOSH_CLIENT_SECRET=${installation.clientSecret}`;
}

function numberIn(name: string): number | undefined {
  const text = process.env[name];
  if (text === undefined || text === '') return undefined;
  if (!/^\d+$/.test(text)) throw new Error(`${name}: '${text}' is not a number`);
  return Number(text);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const stopped = new AbortController();
main(stopped).then(
  () => process.exit(0),
  (error: unknown) => {
    if (stopped.signal.aborted) process.exit(0);
    process.stderr.write(`\n${messageOf(error)}\n`);
    process.exit(1);
  },
);

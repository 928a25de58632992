import { createServer } from 'node:https';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { dirname } from 'node:path';
import { sleep } from './core/clock';
import { ConfigError, loadConfig } from './core/config';
import { createLog } from './core/log';
import { createDirector, type Director } from './director';

/**
 * Entry of a director node: one HTTPS server with the CLI's REST API, tRPC, and the console's pages by Next; workers and
 * component loops. Stops in order on SIGTERM and SIGINT; a kill is as good for everybody else, only slower.
 */
async function main(): Promise<void> {
  const config = loadConfig(process.env.DIRECTORATE_CONFIG ?? 'config.yml', process.env);
  const log = createLog(config.log_level, config.nodeName ? { node: config.nodeName } : {});
  process.on('unhandledRejection', (error) => log.error('unhandled-rejection', { error }));
  const root = process.env.DIRECTORATE_ROOT ?? dirname(__dirname);
  const director = await createDirector(config, log, root);
  await director.start();
  const pages = director.servesApi ? preparePages(root, config.listen.port) : undefined;
  const server = createServer({ cert: config.listen.certificate, key: config.listen.private_key, requestTimeout: 0, headersTimeout: 60_000, keepAliveTimeout: 75_000 }, route(director, pages));
  server.on('error', (error) => {
    log.error('listen-failed', { error });
    process.exit(1);
  });
  server.listen(config.listen.port, config.listen.host, () => {
    director.ready();
    log.info('ready', { port: config.listen.port, ms: Math.round(performance.now()) });
  });
  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) return;
    stopping = true;
    log.info('stopping', { signal });
    void Promise.race([shutDown(server, director), sleep(stopLimitMs)]).then(() => process.exit(0), (error: unknown) => {
      log.error('stop-failed', { error });
      process.exit(1);
    });
  };
  process.on('SIGTERM', () => stop('SIGTERM'));
  process.on('SIGINT', () => stop('SIGINT'));
}

type Handler = (req: IncomingMessage, res: ServerResponse) => void;

/** Next answers the console's pages and their files; made in the background, so that the API is not held up. */
function preparePages(root: string, port: number): Promise<Handler> | undefined {
  if (process.env.DIRECTORATE_CONSOLE === 'off') return undefined;
  const prepare = async (): Promise<Handler> => {
    process.env.NEXT_TELEMETRY_DISABLED = '1';
    const { default: next } = await import('next');
    const app = next({ dev: process.env.DIRECTORATE_DEV === '1', dir: root, hostname: 'localhost', port });
    await app.prepare();
    const handle = app.getRequestHandler();
    return (req, res) => void handle(req, res);
  };
  const pages = sleep(50).then(prepare);
  pages.catch((error: unknown) => process.stderr.write(`The console's pages cannot be shown: ${String(error)}\n`));
  return pages;
}

function route(director: Director, pages: Promise<Handler> | undefined): Handler {
  return (req, res) => {
    director.observe(req, res);
    const path = (req.url ?? '/').split('?', 1)[0] ?? '/';
    if (path === '/healthz') return answer(res, 200, 'alive\n');
    if (path === '/readyz') return void director.readiness().then((why) => answer(res, why.length === 0 ? 200 : 503, why.length === 0 ? 'ready\n' : `${why.join('\n')}\n`));
    if (path === '/metrics') return director.metrics(req, res);
    if (!director.servesApi) return answer(res, 404, 'This node has no role `api`.\n');
    if (path.startsWith('/api/trpc/')) return director.trpc(req, res);
    if (pages && (path === '/' || path === '/console' || path.startsWith('/console/') || path.startsWith('/_next/') || path === '/icon.svg')) {
      return void pages.then((handle) => handle(req, res), () => answer(res, 503, 'The console cannot be shown: its pages were not built. Run `npm run build`.\n'));
    }
    director.rest(req, res);
  };
}

function answer(res: ServerResponse, status: number, text: string): void {
  res.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'content-length': Buffer.byteLength(text), 'cache-control': 'no-store' }).end(text);
}

/** A database or cloud that does not answer must not keep a stopped node; whoever takes over sees the same as after a kill, ms. */
const stopLimitMs = 40_000;

/** Time for the front door to see that this node takes no new connections, ms. */
const drainNoticeMs = 400;

async function shutDown(server: Server, director: Director): Promise<void> {
  director.drain();
  const handedOver = director.handOver();
  await sleep(drainNoticeMs);
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  await Promise.race([closed, sleep(3_000)]);
  server.closeAllConnections();
  await handedOver;
  await director.stop();
}

main().catch((error: unknown) => {
  process.stderr.write(error instanceof ConfigError ? `${error.message}\n` : `${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
});


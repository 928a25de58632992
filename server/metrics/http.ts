import type { IncomingMessage, ServerResponse } from 'node:http';
import { Counter, Histogram, type Registry } from 'prom-client';
import { createPathTemplate, type KnownPaths } from './path-template';

/** What counts requests. */
export interface HttpMetrics {
  /** To be told of every request before it is answered; counts it when its answer is over. */
  observeHttp: (request: IncomingMessage, response: ServerResponse) => void;
  /** To be told of every error that a handler did not expect. */
  onException: (error: unknown) => void;
}

/** As nginx has it: the client went away before it got an answer. */
const clientGone = 499;

/**
 * The Ruby director's metrics of its HTTP server, with the same names and labels. Streams without an end of their own
 * (`text/event-stream`) are counted, but their duration says nothing and is left out.
 * Source: https://github.com/prometheus/client_ruby (Prometheus::Middleware::Collector and ::Exporter).
 */
export function registerHttp(registry: Registry, paths: KnownPaths): HttpMetrics {
  const template = createPathTemplate(paths);
  const registers = [registry];
  const requests = new Counter({ name: 'http_server_requests_total', help: 'Requests that were answered', labelNames: ['code', 'method', 'path'], registers });
  const durations = new Histogram({ name: 'http_server_request_duration_seconds', help: 'How long answers took, from the request to the last byte', labelNames: ['method', 'path'], registers });
  const exceptions = new Counter({ name: 'http_server_exceptions_total', help: 'Errors that a request ended in and that nobody expected', labelNames: ['exception'], registers });
  return {
    observeHttp: (request, response) => {
      const startedAt = performance.now();
      const labels = { method: (request.method ?? '').toLowerCase(), path: template((request.url ?? '/').split('?', 1)[0] ?? '/') };
      response.once('close', () => {
        requests.inc({ ...labels, code: String(response.headersSent ? response.statusCode : clientGone) });
        if (!isEventStream(request, response)) durations.observe(labels, (performance.now() - startedAt) / 1_000);
      });
    },
    onException: (error) => exceptions.inc({ exception: error instanceof Error ? error.constructor.name : typeof error }),
  };
}

/** Headers given to `writeHead` cannot be read back, so what the client wants counts too. */
function isEventStream(request: IncomingMessage, response: ServerResponse): boolean {
  return [request.headers.accept, response.getHeader('content-type')].some((type) => String(type ?? '').startsWith('text/event-stream'));
}

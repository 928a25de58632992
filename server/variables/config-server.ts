import { request } from 'node:https';
import { z } from 'zod';
import { sleep } from '../core/clock';
import { code, DirectorError, isDirectorError } from '../core/errors';
import type { VariableBackend, VariableVersion } from './backend';

/**
 * Client of a config server with CredHub's API (https://docs.cloudfoundry.org/api/credhub/), as the Ruby director uses it:
 * cloudfoundry/bosh src/bosh-director/lib/bosh/director/config_server/config_server_http_client.rb and client.rb.
 */
export interface ConfigServerOptions {
  /** `https://host:port`, or with the path below which the API is, as in `https://host:port/api/`. */
  url: string;
  /** PEM; the system's CAs when undefined. */
  ca?: string | undefined;
  uaa: { url: string; clientId: string; clientSecret: string; ca?: string | undefined };
}

interface Answer {
  status: number;
  text: string;
}

const tries = 3;
const timeoutMs = 30_000;
const retryMs = 200;

const listed = z.object({ data: z.array(z.object({ id: z.string(), value: z.unknown() })) });
const single = z.object({ id: z.string(), value: z.unknown() });
const token = z.object({ access_token: z.string(), expires_in: z.number().default(60) });

/** Versions never change, so each is fetched once for as long as this object lives. */
export function createConfigServerBackend(options: ConfigServerOptions): VariableBackend {
  const tokens = createTokens(options);
  const byId = new Map<string, VariableVersion>();
  const call = async (method: string, path: string, body?: unknown): Promise<Answer> => {
    const send = async (bearer: string) =>
      exchange({ url: below(options.url, path), ca: options.ca, method, headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' }, body: body === undefined ? undefined : JSON.stringify(body) });
    const first = await send(await tokens.get());
    if (first.status !== 401) return first;
    const second = await send(await tokens.renew());
    if (second.status === 401) throw new DirectorError(code.uaaAuthorizationError, `The config server refuses the token that UAA gave to the client '${options.uaa.clientId}': check its scopes`);
    return second;
  };
  return {
    latest: async (name) => {
      const answer = await fetching(name, () => call('GET', `v1/data?name=${encodeURIComponent(name)}&current=true`));
      const [found] = parsed(listed, answer, name).data;
      if (!found) throw fetchError(name, 'Expected data to be non empty array');
      return found;
    },
    version: async (id, name) => {
      const known = byId.get(id);
      if (known) return known;
      const version = parsed(single, await fetching(name, () => call('GET', `v1/data/${encodeURIComponent(id)}`)), name);
      byId.set(id, version);
      return version;
    },
    generate: async ({ name, type, parameters, mode }) => {
      const answer = await call('POST', 'v1/data', { name, type, parameters, mode }).catch((error: unknown) => {
        if (isDirectorError(error)) throw error;
        throw generationError(name, type, error instanceof Error ? error.message : String(error), error);
      });
      if (answer.status < 200 || answer.status > 299) throw generationError(name, type, `HTTP Code '${answer.status}', Error: '${errorIn(answer.text)}'`);
      const made = single.safeParse(json(answer.text));
      if (!made.success) throw generationError(name, type, 'Expected Config Server response to have keys \'id\' and \'value\'');
      return made.data;
    },
  };
}

function createTokens({ uaa }: ConfigServerOptions): { get(): Promise<string>; renew(): Promise<string> } {
  let current: { value: Promise<string>; until: number } | undefined;
  const renew = () => {
    const asked = { value: fetchToken(uaa), until: performance.now() + 60_000 };
    current = { until: asked.until, value: asked.value.then(({ value, lifeMs }) => {
      if (current) current.until = performance.now() + lifeMs - Math.min(60_000, lifeMs / 2);
      return value;
    }) };
    current.value.catch(() => (current = undefined));
    return current.value;
  };
  return { get: () => (current && performance.now() < current.until ? current.value : renew()), renew };
}

async function fetchToken(uaa: ConfigServerOptions['uaa']): Promise<{ value: string; lifeMs: number }> {
  const basic = Buffer.from(`${encodeURIComponent(uaa.clientId)}:${encodeURIComponent(uaa.clientSecret)}`).toString('base64');
  const answer = await exchange({
    url: below(uaa.url, 'oauth/token'), ca: uaa.ca, method: 'POST', body: 'grant_type=client_credentials',
    headers: { authorization: `Basic ${basic}`, 'content-type': 'application/x-www-form-urlencoded', accept: 'application/json' },
  });
  const granted = token.safeParse(json(answer.text));
  if (answer.status !== 200 || !granted.success) throw new DirectorError(code.uaaAuthorizationError, `UAA gave the director no token for the config server (HTTP Code '${answer.status}'): check the client '${uaa.clientId}'`);
  return { value: granted.data.access_token, lifeMs: granted.data.expires_in * 1_000 };
}

/** The path below a base URL, whether that ends in a slash or not. */
function below(base: string, path: string): URL {
  return new URL(`${base.replace(/\/+$/, '')}/${path}`);
}

async function fetching(name: string, work: () => Promise<Answer>): Promise<Answer> {
  try {
    return await work();
  } catch (cause) {
    if (isDirectorError(cause)) throw cause;
    throw fetchError(name, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function parsed<T>(schema: z.ZodType<T>, answer: Answer, name: string): T {
  if (answer.status === 404) throw new DirectorError(code.configServerMissingName, `Failed to find variable '${name}' from config server: HTTP Code '404', Error: '${errorIn(answer.text)}'`);
  if (answer.status !== 200) throw fetchError(name, `HTTP Code '${answer.status}', Error: '${errorIn(answer.text)}'`);
  const body = schema.safeParse(json(answer.text));
  // What did not fit may be a secret: only its path is told.
  if (!body.success) throw fetchError(name, `Unexpected answer at '${body.error.issues.map((issue) => issue.path.join('.')).join(', ')}'`);
  return body.data;
}

function fetchError(name: string, problem: string, cause?: unknown): DirectorError {
  return new DirectorError(code.configServerFetchError, `Failed to fetch variable '${name}' from config server: ${problem}`, cause === undefined ? undefined : { cause });
}

function generationError(name: string, type: string, problem: string, cause?: unknown): DirectorError {
  return new DirectorError(code.configServerGenerationError, `Config Server failed to generate value for '${name}' with type '${type}'. ${problem}`, cause === undefined ? undefined : { cause });
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function errorIn(text: string): string {
  const body = z.object({ error: z.string() }).safeParse(json(text));
  return body.success ? body.data.error : '';
}

interface Exchange {
  url: URL;
  ca: string | undefined;
  method: string;
  headers: Record<string, string>;
  body: string | undefined;
}

/** One request; network failures are tried three times. Generating is safe to repeat: its mode decides what happens to what there is. */
async function exchange(order: Exchange): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await exchangeOnce(order);
    } catch (error) {
      if (attempt >= tries) throw error;
      await sleep(retryMs * attempt);
    }
  }
}

function exchangeOnce({ url, ca, method, headers, body }: Exchange): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, ...(ca === undefined ? {} : { ca }), headers: body === undefined ? headers : { ...headers, 'content-length': Buffer.byteLength(body) }, timeout: timeoutMs }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }));
      response.on('error', reject);
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`no answer within ${timeoutMs / 1_000} s`)));
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

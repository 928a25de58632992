import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:https';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createCa, issueServerCertificate } from '../../server/nats/credentials';
import type { CertificateValue } from '../../server/variables/certificate';
import type { ConfigServerOptions } from '../../server/variables/config-server';
import { generateValue } from '../../server/variables/generate';

interface Version {
  id: string;
  name: string;
  type: string;
  parameters: string;
  value: unknown;
}

/** A config server and its UAA over TLS, with CredHub's answers, in memory. */
export interface TestConfigServer {
  options: ConfigServerOptions;
  /** Every request but those for tokens: `GET /v1/data?name=…`. */
  requests: string[];
  tokensGiven: number;
  /** Tokens given so far are refused from now on. */
  expireTokens(): void;
  /** The next requests are cut off before they are answered. */
  cutOff(count: number): void;
  put(name: string, value: unknown): void;
  close(): Promise<void>;
}

export async function startConfigServer(): Promise<TestConfigServer> {
  const ca = await createCa('Test CA');
  const { certificate, privateKey } = await issueServerCertificate(ca, { cn: 'config-server', dnsNames: ['localhost'], ips: ['127.0.0.1'] });
  const versions: Version[] = [];
  const valid = new Set<string>();
  let cut = 0;
  const server: Server = createServer({ cert: certificate, key: privateKey }, (req, res) => void handle(req, res));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const control: TestConfigServer = {
    options: { url, ca: ca.certificate, uaa: { url, clientId: 'director', clientSecret: 'p:w', ca: ca.certificate } },
    requests: [],
    tokensGiven: 0,
    expireTokens: () => valid.clear(),
    cutOff: (count) => (cut = count),
    put: (name, value) => void versions.push({ id: randomUUID(), name, type: 'value', parameters: '{}', value }),
    close: () => new Promise((resolve) => server.close(() => resolve())),
  };
  const latest = (name: string | null) => versions.findLast((version) => version.name === name);

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const body = await text(req);
    const at = new URL(req.url ?? '/', url);
    if (at.pathname === '/oauth/token') return grant(req, res, body);
    control.requests.push(`${req.method ?? ''} ${req.url ?? ''}`);
    if (cut > 0) {
      cut--;
      return void req.socket.destroy();
    }
    if (!valid.has(req.headers.authorization ?? '')) return answer(res, 401, { error: 'invalid_token' });
    if (req.method === 'POST') return generate(res, JSON.parse(body) as { name: string; type: string; parameters: Record<string, unknown>; mode: string });
    const found = at.searchParams.has('name') ? latest(at.searchParams.get('name')) : versions.find((version) => version.id === at.pathname.split('/').at(-1));
    if (!found) return answer(res, 404, { error: 'The request could not be completed because the credential does not exist or you do not have sufficient authorization.' });
    const { id, name, value } = found;
    answer(res, 200, at.searchParams.has('name') ? { data: [{ id, name, value }] } : { id, name, value });
  }

  function grant(req: IncomingMessage, res: ServerResponse, body: string): void {
    if (req.headers.authorization !== `Basic ${Buffer.from('director:p%3Aw').toString('base64')}` || body !== 'grant_type=client_credentials') return answer(res, 401, { error: 'unauthorized' });
    control.tokensGiven += 1;
    const access = randomUUID();
    valid.add(`Bearer ${access}`);
    answer(res, 200, { access_token: access, expires_in: 3_600 });
  }

  async function generate(res: ServerResponse, order: { name: string; type: string; parameters: Record<string, unknown>; mode: string }): Promise<void> {
    const present = latest(order.name);
    const parameters = JSON.stringify(order.parameters);
    if (present && (order.mode === 'no-overwrite' || (order.mode === 'converge' && present.parameters === parameters))) return answer(res, 200, present);
    try {
      const value = await generateValue(order.name, order.type, order.parameters, async (name) => latest(name)?.value as CertificateValue | undefined);
      const made = { id: randomUUID(), name: order.name, type: order.type, parameters, value };
      versions.push(made);
      answer(res, 200, made);
    } catch (error) {
      answer(res, 400, { error: error instanceof Error ? error.message : String(error) });
    }
  }

  return control;
}

function answer(res: ServerResponse, status: number, body: unknown): void {
  res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
}

async function text(req: IncomingMessage): Promise<string> {
  let all = '';
  for await (const chunk of req.setEncoding('utf8')) all += String(chunk);
  return all;
}

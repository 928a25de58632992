import { randomBytes, X509Certificate } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import { hashPassword } from '../auth/password';
import { createCa, issueClientCertificate, issueServerCertificate, type Certificate } from '../nats/credentials';
import type { CpiConfig } from './cpi/config';
import type { FrontDoorSettings } from './front-door';
import { natsServersOf, nodesOf, postgresPortOf, type Layout } from './layout';
import { natsServerNames } from './nats-server';
import { newPassword, postgresUrl } from './postgres';

/** What an embedded installation is made of, all generated for it and kept in its data folder. */
export interface Installation {
  postgresPassword: string;
  client: string;
  clientSecret: string;
  /** PEM of the CA of the nodes' HTTPS certificate. */
  ca: string;
  nats: { ca: Certificate; server: Certificate };
  cpi: CpiConfig;
  frontDoorSettings: string;
}

export interface InstallationOptions {
  root: string;
  layout: Layout;
  nodeCount: number;
  /** Merged over the top-level keys of config.yml. */
  config?: Record<string, unknown>;
  /** Between two heartbeats of an agent, ms; default 30 000. */
  heartbeatIntervalMs?: number;
  /** How nodes and VMs reach the NATS servers; default: directly. */
  natsUrls?: readonly string[];
}

const adminName = 'admin';
const renewBeforeMs = 30 * 86_400_000;
const stateSchema = z.object({ port: z.number() });

/**
 * Port of an existing installation, or the wanted one for a new one. VMs know the NATS servers' ports, so an installation
 * stays on its ports; another wish is refused.
 */
export async function choosePort(dataDir: string, wanted: number | undefined): Promise<number> {
  const text = await readIfThere(join(dataDir, 'installation.json'));
  if (text === undefined) return wanted ?? 25_555;
  const { port } = stateSchema.parse(JSON.parse(text));
  if (wanted !== undefined && wanted !== port) {
    throw new Error(`the installation in ${dataDir} has the port ${port}, which its VMs know: start it with DIRECTORATE_PORT=${port}, or use another folder with DIRECTORATE_DATA`);
  }
  return port;
}

/** Makes what is missing and writes the files that follow from the rest. Doing it again changes nothing. */
export async function prepareInstallation(options: InstallationOptions): Promise<Installation> {
  const { layout } = options;
  await rm(layout.tmp, { recursive: true, force: true }); // stemcell images of calls that were killed
  for (const folder of [layout.dataDir, layout.certs, layout.log, layout.run, layout.blobstore, layout.cloud]) await mkdir(folder, { recursive: true });
  for (const folder of [layout.secrets, layout.tmp]) await mkdir(folder, { recursive: true, mode: 0o700 });
  const postgresPassword = await secretOf(layout, 'postgres-password', newPassword);
  const clientSecret = await secretOf(layout, 'admin-password', newPassword);
  await secretOf(layout, 'admin-password-hash', () => hashPassword(clientSecret));
  await secretOf(layout, 'variables-key', () => randomBytes(32).toString('hex'));
  await replaceFile(join(layout.secrets, 'database-url'), postgresUrl({ port: postgresPortOf(layout), password: postgresPassword }) + '\n', 0o600);
  const { ca, nats } = await certificatesOf(layout);
  const cpi = await writeCpi(options);
  await replaceFile(layout.config, configFile(options), 0o644);
  const frontDoorSettings = join(layout.run, 'front-door.json');
  const frontDoor: FrontDoorSettings = {
    host: '127.0.0.1',
    port: layout.port,
    ca_path: join(layout.certs, 'ca.crt'),
    nodes: nodesOf(layout, options.nodeCount).map(({ name, port }) => ({ name, host: '127.0.0.1', port })),
  };
  await replaceFile(frontDoorSettings, JSON.stringify(frontDoor, null, 2) + '\n', 0o644);
  await writeCreds(options, clientSecret);
  await replaceFile(join(layout.dataDir, 'installation.json'), JSON.stringify({ port: layout.port }) + '\n', 0o644);
  return { postgresPassword, client: adminName, clientSecret, ca: ca.certificate, nats, cpi, frontDoorSettings };
}

async function writeCreds({ layout, nodeCount }: InstallationOptions, clientSecret: string): Promise<void> {
  const url = `https://127.0.0.1:${layout.port}`;
  const creds = {
    url,
    console_url: `${url}/console`,
    client: adminName,
    client_secret: clientSecret,
    ca_cert_path: join(layout.certs, 'ca.crt'),
    nodes: nodesOf(layout, nodeCount).map((node) => node.url),
  };
  await replaceFile(layout.creds, JSON.stringify(creds, null, 2) + '\n', 0o600);
}

async function certificatesOf(layout: Layout): Promise<{ ca: Certificate; nats: { ca: Certificate; server: Certificate } }> {
  const ca = await certificateOf(layout, 'ca', () => createCa('Directorate CA'));
  await certificateOf(layout, 'director', () => issueServerCertificate(ca, { cn: 'director', dnsNames: ['localhost'], ips: ['127.0.0.1'] }), ca);
  const natsCa = await certificateOf(layout, 'nats-ca', () => createCa());
  const server = await certificateOf(layout, 'nats-server', () => issueServerCertificate(natsCa, natsServerNames), natsCa);
  await certificateOf(layout, 'nats-director', () => issueClientCertificate(natsCa, { cn: 'default.director.bosh-internal', days: 730 }), natsCa);
  await certificateOf(layout, 'nats-health-monitor', () => issueClientCertificate(natsCa, { cn: 'default.hm.bosh-internal', days: 730 }), natsCa);
  return { ca, nats: { ca: natsCa, server } };
}

/** The director's configuration, the same for every node; each node gets its port and name from its environment. */
function configFile({ layout, config, natsUrls }: InstallationOptions): string {
  const pair = (name: string) => ({ certificate: { file: `certs/${name}.crt` }, private_key: { file: `certs/${name}.key` } });
  const document = {
    name: 'directorate',
    listen: { host: '127.0.0.1', port: layout.port + 1, ...pair('director') },
    database: { url: { file: 'secrets/database-url' } },
    nats: {
      urls: natsUrls ?? directNatsUrls(layout),
      ca: { file: 'certs/nats-ca.crt' },
      ca_private_key: { file: 'certs/nats-ca.key' },
      director: pair('nats-director'),
      health_monitor: pair('nats-health-monitor'),
    },
    blobstore: { provider: 'local', path: layout.blobstore },
    cpi: { name: 'local', path: join(layout.cloud, 'cpi') },
    auth: { users: [{ name: adminName, password_hash: { file: 'secrets/admin-password-hash' }, scopes: ['bosh.admin'] }] },
    variables: { encryption_keys: [{ file: 'secrets/variables-key' }] },
    tmp_dir: layout.tmp,
    ...config,
  };
  return `# The configuration of the embedded default, made anew at every start; an example for your own.\n${stringify(document)}`;
}

/** The CPI is one executable file: a script that runs the program in dist/ with its configuration. */
async function writeCpi({ root, layout, heartbeatIntervalMs, natsUrls }: InstallationOptions): Promise<CpiConfig> {
  const configPath = join(layout.cloud, 'cpi.json');
  const cpi: CpiConfig = {
    state_dir: layout.cloud,
    nats_urls: [...(natsUrls ?? directNatsUrls(layout))],
    ntp: [],
    agent: {
      blobstore: { provider: 'local', options: { blobstore_path: layout.blobstore } },
      heartbeat_interval_ms: heartbeatIntervalMs ?? 30_000,
    },
    agent_program: ['node', join(root, 'dist', 'agent.cjs')],
    namespace: 'auto',
  };
  await replaceFile(configPath, JSON.stringify(cpi, null, 2) + '\n', 0o644);
  const command = [process.execPath, join(root, 'dist', 'cpi.cjs'), configPath].map(quote).join(' ');
  await replaceFile(join(layout.cloud, 'cpi'), `#!/bin/sh\nexec ${command}\n`, 0o755);
  return cpi;
}

function directNatsUrls(layout: Layout): string[] {
  return natsServersOf(layout).map(({ ports }) => `nats://127.0.0.1:${ports.client}`);
}

const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

async function secretOf(layout: Layout, name: string, make: () => string | Promise<string>): Promise<string> {
  const path = join(layout.secrets, name);
  const found = await readIfThere(path);
  if (found !== undefined) return found.trimEnd();
  const made = await make();
  await replaceFile(path, made + '\n', 0o600);
  return made;
}

/**
 * Reads certificate and key; makes them when missing and, a month before their end or after their CA was renewed, anew.
 * The certificate is written last.
 */
async function certificateOf(layout: Layout, name: string, make: () => Promise<Certificate>, ca?: Certificate): Promise<Certificate> {
  const [certificatePath, keyPath] = [join(layout.certs, `${name}.crt`), join(layout.certs, `${name}.key`)];
  const [certificate, privateKey] = [await readIfThere(certificatePath), await readIfThere(keyPath)];
  if (certificate !== undefined && privateKey !== undefined && isGood(certificate, ca)) return { certificate, privateKey };
  const made = await make();
  await replaceFile(keyPath, made.privateKey, 0o600);
  await replaceFile(certificatePath, made.certificate, 0o644);
  return made;
}

function isGood(certificate: string, ca: Certificate | undefined): boolean {
  const parsed = new X509Certificate(certificate);
  if (Date.parse(parsed.validTo) - Date.now() < renewBeforeMs) return false;
  return ca === undefined || parsed.verify(new X509Certificate(ca.certificate).publicKey);
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Replaces a file at once, so that an interrupted start leaves the old one or the new one. */
async function replaceFile(path: string, content: string, mode: number): Promise<void> {
  await writeFile(`${path}.new`, content, { mode });
  await chmod(`${path}.new`, mode);
  await rename(`${path}.new`, path);
}

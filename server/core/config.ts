import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { localDnsSchema } from './config-dns';
import { healthMonitorSchema } from './config-health';
import { networksSchema } from './config-networks';
import { schedulerSchema } from './config-scheduler';
import { secret } from './config-secret';
import { configServerSchema, variablesSchema } from './config-variables';

/**
 * The director's configuration: one YAML file, the same on every node.
 * What differs between nodes comes from the environment of the process (see `loadConfig`).
 * `docs/config.md` is generated from this schema.
 */

const natsUrl = z.union([z.string().startsWith('nats://'), z.strictObject({ file: z.string() }), z.strictObject({ env: z.string() })]);

const localBlobstore = z.strictObject({
  provider: z.literal('local'),
  path: z.string().describe('directory shared by all nodes and, for the local cloud, by the agents'),
});

const s3Blobstore = z.strictObject({
  provider: z.literal('s3'),
  bucket: z.string().describe('it must exist'),
  endpoint: z.string().optional().describe('URL of an S3 server other than AWS'),
  region: z.string().default('us-east-1').describe('of the bucket'),
  access_key_id: secret,
  secret_access_key: secret,
  force_path_style: z.boolean().default(true).describe('`https://host/bucket/…` instead of `https://bucket.host/…`'),
  enable_signed_urls: z.boolean().default(true).describe('agents get signed URLs instead of credentials when their stemcell supports it (api_version 3)'),
});

const schema = z.strictObject({
  name: z.string().regex(/^[-0-9A-Za-z_]+$/).default('directorate').describe('name of the director, as `bosh env` shows it'),
  listen: z.strictObject({
    host: z.string().default('0.0.0.0').describe('address to listen on; `DIRECTORATE_LISTEN_HOST` overrides it'),
    port: z.int().min(1).max(65535).default(25555).describe('`DIRECTORATE_LISTEN_PORT` overrides it'),
    certificate: secret.describe('PEM of the TLS certificate (chain)'),
    private_key: secret.describe('PEM of its key'),
  }),
  database: z.strictObject({
    url: secret.describe('`postgres://user:password@host:port/database`, always of the primary'),
    ca: secret.optional().describe('PEM of the CA of the database server; turns TLS on'),
    pool_size: z.int().min(4).max(200).default(16).describe('connections per node'),
  }),
  nats: z.strictObject({
    urls: z.array(natsUrl).min(1).describe('every server of the cluster, `nats://host:port`'),
    agent_urls: z.array(natsUrl).min(1).optional().describe('the same servers as agents reach them, where that differs'),
    ca: secret.describe('PEM of the CA of servers and clients; of several CAs while it is being changed'),
    ca_private_key: secret.describe('PEM of the key of one of them: signs the certificates of agents'),
    director: z.strictObject({ certificate: secret, private_key: secret }).describe('client certificate of the director, CN `default.director.bosh-internal`'),
    health_monitor: z.strictObject({ certificate: secret, private_key: secret }).describe('client certificate of the health monitor, CN `default.hm.bosh-internal`'),
  }),
  blobstore: z.discriminatedUnion('provider', [localBlobstore, s3Blobstore]),
  cpi: z.strictObject({
    name: z.string().default('cpi').describe('as `bosh env` shows it'),
    path: z.string().describe('executable of the default CPI'),
    preferred_api_version: z.int().min(2).max(3).default(3).describe('newest version of the CPI contract to speak'),
  }),
  auth: z.strictObject({
    users: z
      .array(
        z.strictObject({
          name: z.string().min(1).describe('user name, or client name for the CLI'),
          password_hash: secret.describe('`scrypt:<salt hex>:<hash hex>`, made by `directorate hash-password`'),
          scopes: z.array(z.string()).default(['bosh.admin']).describe("BOSH's scopes, e.g. `bosh.read` or `bosh.teams.web.admin`"),
        }),
      )
      .min(1)
      .describe('local users'),
  }),
  roles: z.array(z.enum(['api', 'worker', 'components'])).min(1).default(['api', 'worker', 'components']).describe('what the nodes do; `DIRECTORATE_ROLES` (comma list) overrides it'),
  workers: z
    .strictObject({
      normal: z.int().min(1).max(256).default(8).describe('tasks at a time per node'),
      urgent: z.int().min(1).max(256).default(4).describe('slots kept for short, urgent tasks'),
    })
    .prefault({}),
  agent: z
    .strictObject({
      wait_timeout_s: z.int().min(1).default(600).describe('how long a new VM may take until its agent answers, seconds'),
      env: z.record(z.string(), z.unknown()).default({}).describe('merged under `env.bosh` of every VM'),
      trusted_certs: secret.default('').describe('PEM of CAs that every VM trusts beside those of its stemcell; a change reaches VMs with the next deploy of their deployment'),
      nats_delivered_templates: z.boolean().default(false).describe('agents get their rendered templates over NATS instead of fetching them from the blobstore, which keeps the copy from which VMs are made again'),
      short_lived_bootstrap_credentials: z.boolean().default(true).describe('VMs boot with NATS credentials that are replaced as soon as the agent answers'),
    })
    .prefault({}),
  health_monitor: healthMonitorSchema,
  scheduler: schedulerSchema,
  local_dns: localDnsSchema,
  enable_cpi_resize_disk: z.boolean().default(false).describe('persistent disks are made larger by the CPI where it can, instead of being copied'),
  enable_cpi_update_disk: z.boolean().default(false).describe('the same for every other change of persistent disks'),
  snapshots: z.strictObject({ enabled: z.boolean().default(false).describe('persistent disks get a snapshot whenever their instance was stopped for an update') }).prefault({}),
  networks: networksSchema,
  variables: variablesSchema,
  config_server: configServerSchema,
  default_update_vm_strategy: z.enum(['delete-create', 'create-swap-delete']).default('delete-create').describe('`vm_strategy` of `update` blocks that do not say'),
  max_threads: z.int().min(1).max(256).default(32).describe('VMs created or deleted at a time in one task'),
  max_vm_create_tries: z.int().min(1).max(20).default(5).describe('how often `create_vm` is tried when the CPI says that it may help'),
  tmp_dir: z.string().default('/tmp').describe('for stemcell images on their way to the CPI; nothing in it must survive'),
  log_level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe('of the log on standard error; `DIRECTORATE_LOG_LEVEL` overrides it'),
});

type Raw = z.infer<typeof schema>;
type Secret = z.infer<typeof secret>;

/** The configuration with every secret read. */
export type Config = Resolved<Raw> & {
  /** Name of this node as operators see it, e.g. "A"; empty when none was given. */
  nodeName: string;
};
type Resolved<T> = T extends Secret ? (Exclude<T, { file: string } | { env: string }> extends never ? string : Exclude<T, { file: string } | { env: string }>) : T extends (infer U)[] ? Resolved<U>[] : T extends object ? { [K in keyof T]: Resolved<T[K]> } : T;

export const configSchema = schema;

/** A configuration that cannot be used; the message names the key. */
export class ConfigError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'ConfigError';
  }
}

/** Names of the environment variables that make one node differ from another, and what they override. */
export type NodeEnvironment = Partial<Record<'DIRECTORATE_LISTEN_HOST' | 'DIRECTORATE_LISTEN_PORT' | 'DIRECTORATE_NODE_NAME' | 'DIRECTORATE_ROLES' | 'DIRECTORATE_LOG_LEVEL' | 'DIRECTORATE_HM_PORT', string>>;

/**
 * Reads, checks and completes the file at `path`.
 * Throws ConfigError with the key and the reason, e.g. `nats.urls: expected array`.
 */
export function loadConfig(path: string, env: NodeEnvironment & Record<string, string | undefined>): Config {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new ConfigError(`cannot read the configuration ${path}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const document: unknown = parse(text);
  const parsed = schema.safeParse(document);
  if (!parsed.success) {
    throw new ConfigError(`${path}: ` + parsed.error.issues.map((issue) => `${issue.path.join('.') || '(top level)'}: ${issue.message}`).join('; '));
  }
  if (parsed.data.variables && parsed.data.config_server) throw new ConfigError(`${path}: variables, config_server: values are kept in one of them, leave the other out`);
  const config = resolveSecrets(parsed.data, dirname(resolve(path)), env, '') as Config;
  config.nodeName = env.DIRECTORATE_NODE_NAME ?? '';
  if (env.DIRECTORATE_LISTEN_HOST) config.listen.host = env.DIRECTORATE_LISTEN_HOST;
  if (env.DIRECTORATE_LISTEN_PORT) config.listen.port = portOf(env.DIRECTORATE_LISTEN_PORT);
  if (env.DIRECTORATE_ROLES) config.roles = rolesOf(env.DIRECTORATE_ROLES);
  if (env.DIRECTORATE_HM_PORT) config.health_monitor.http.port = portOf(env.DIRECTORATE_HM_PORT);
  if (env.DIRECTORATE_LOG_LEVEL) config.log_level = z.enum(['debug', 'info', 'warn', 'error']).parse(env.DIRECTORATE_LOG_LEVEL);
  return config;
}

function portOf(text: string): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65535) throw new ConfigError(`DIRECTORATE_LISTEN_PORT or DIRECTORATE_HM_PORT: '${text}' is not a port`);
  return port;
}

function rolesOf(text: string): Config['roles'] {
  const roles = schema.shape.roles.safeParse(text.split(',').map((role) => role.trim()));
  if (!roles.success) throw new ConfigError(`DIRECTORATE_ROLES: '${text}' is not a comma list of api, worker, components`);
  return roles.data;
}

function resolveSecrets(value: unknown, folder: string, env: Record<string, string | undefined>, path: string): unknown {
  if (Array.isArray(value)) return value.map((item, index) => resolveSecrets(item, folder, env, `${path}[${index}]`));
  if (typeof value !== 'object' || value === null) return value;
  const keys = Object.keys(value);
  if (keys.length === 1 && 'file' in value && typeof value.file === 'string') return readSecretFile(resolve(folder, value.file), path);
  if (keys.length === 1 && 'env' in value && typeof value.env === 'string') {
    const found = env[value.env];
    if (found === undefined) throw new ConfigError(`${path}: the environment variable ${value.env} is not set`);
    return found;
  }
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolveSecrets(item, folder, env, path ? `${path}.${key}` : key)]));
}

function readSecretFile(path: string, key: string): string {
  try {
    return readFileSync(path, 'utf8').trimEnd();
  } catch (cause) {
    throw new ConfigError(`${key}: cannot read ${path}`, { cause });
  }
}

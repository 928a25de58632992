import { z } from 'zod';
import { secret } from './config-secret';

/**
 * Where alerts and heartbeats go. Names and options: cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/plugins/.
 * `id` tells apart two plugins of one name; it is the plugin's name unless given.
 */
const plugin = <N extends string, O extends z.ZodType, K extends EventKind>(name: N, options: O, events: { allowed: readonly [K, ...K[]]; usual: readonly K[] }) =>
  z.strictObject({
    name: z.literal(name),
    id: z.string().min(1).max(100).optional(),
    events: z.array(z.enum(events.allowed)).min(1).default([...events.usual]),
    options,
  });

type EventKind = 'alert' | 'heartbeat';
const alertsOnly = { allowed: ['alert'], usual: ['alert'] } as const;
const alertsUsually = { allowed: ['alert', 'heartbeat'], usual: ['alert'] } as const;
const both = { allowed: ['alert', 'heartbeat'], usual: ['alert', 'heartbeat'] } as const;

const host = z.string().min(1);
const port = z.int().min(1).max(65535);
const url = z.url({ protocol: /^https?$/ });
const none = z.strictObject({}).prefault({});
const ca = secret.optional().describe('PEM of the CA of the server, if no public one signed its certificate');
const httpProxy = url.optional().describe('proxy of the calls, `http://user:password@host:port`');
const maxRetries = z.int().min(-1).default(35).describe('attempts to connect before the plugin gives up until the next start or hand-over; -1: never');
/** Read as pairs: a single entry called `env` or `file` is no secret. */
const pairs = z.record(z.string(), z.string()).default({}).transform((entries) => Object.entries(entries).map(([name, value]) => ({ name, value })));

const smtp = z
  .strictObject({
    from: z.string().min(1), host, port,
    domain: z.string().optional().describe('name in EHLO'),
    tls: z.boolean().default(false).describe('STARTTLS is required'),
    ca,
    auth: z.enum(['plain', 'login', 'cram_md5']).optional(),
    user: z.string().optional(),
    password: secret.optional(),
  })
  .refine((settings) => settings.auth === undefined || (settings.user !== undefined && settings.password !== undefined), 'auth needs user and password');

const consul = z.strictObject({
  host, port: port.default(8500), protocol: z.enum(['http', 'https']).default('http'), ca, namespace: z.string().default('').describe('prefix of names of checks and events'),
  params: secret.optional().describe('query of every call, e.g. `token=…`'),
  ttl: z.string().optional().describe('heartbeats become TTL checks with this period, e.g. `120s`'),
  ttl_note: z.string().default('Automatically Registered by Bosh-Monitor'),
  events: z.boolean().default(false).describe('alerts become user events'),
  heartbeats_as_alerts: z.boolean().default(false).describe('and so do heartbeats'),
});

const known = [
  plugin('logger', z.strictObject({ format: z.literal('json').optional() }).prefault({}), alertsUsually),
  plugin('event_logger', none, alertsOnly),
  plugin('json', z.strictObject({ glob: z.string().startsWith('/').default('/var/vcap/jobs/*/bin/bosh-monitor/*').describe('executables that get one JSON line per event') }).prefault({}), both),
  plugin('email', z.strictObject({ recipients: z.array(z.string().min(1)).min(1), smtp, interval: z.number().min(0.1).max(86_400).default(10).describe('seconds between two mails') }), alertsUsually),
  plugin('pagerduty', z.strictObject({ service_key: secret, http_proxy: httpProxy, url: url.default('https://events.pagerduty.com/generic/2010-04-15/create_event.json') }), alertsOnly),
  plugin(
    'data_dog',
    z.strictObject({
      api_key: secret, application_key: secret.optional().describe('accepted as BOSH has it; what is called here does not ask for it'), pagerduty_service_name: z.string().optional(),
      custom_tags: pairs.describe('added to everything'), http_proxy: httpProxy, url: url.default('https://api.datadoghq.com'),
    }),
    both,
  ),
  plugin('tsdb', z.strictObject({ host, port, max_retries: maxRetries }), both),
  plugin('graphite', z.strictObject({ host, port, prefix: z.string().min(1).optional(), max_retries: maxRetries }), { allowed: ['heartbeat'], usual: ['heartbeat'] }),
  plugin('riemann', z.strictObject({ host, port: port.default(5555) }), both),
  plugin('consul_event_forwarder', consul, both),
  plugin('webhook', z.strictObject({ url, secret: secret.describe('key of the HMAC-SHA256 signature'), headers: pairs.describe('added to every call'), ca, http_proxy: httpProxy }), alertsOnly),
] as const;

const names = known.map((one) => one.shape.name.value).join(', ');

const pluginSchema = z.discriminatedUnion('name', known, {
  error: ({ code, input }) => {
    const name = typeof input === 'object' && input !== null && 'name' in input ? input.name : undefined;
    if (code !== 'invalid_union' || name === undefined) return undefined;
    if (name === 'resurrector') return 'the resurrector is a part of the health monitor, not a plugin: its settings are health_monitor.resurrector';
    return `there is no plugin ${JSON.stringify(name)}; there are ${names}`;
  },
});

export const pluginsSchema = z
  .array(pluginSchema)
  .superRefine((plugins, ctx) => {
    const seen = new Set<string>();
    for (const [index, one] of plugins.entries()) {
      const key = one.id ?? one.name;
      if (seen.has(key)) ctx.addIssue({ code: 'custom', path: [index, 'id'], message: `two plugins are called '${key}': give each an id of its own` });
      seen.add(key);
    }
  })
  .default([
    { name: 'logger', events: ['alert'], options: {} },
    { name: 'event_logger', events: ['alert'], options: {} },
  ]);

import { z } from 'zod';
import { secret } from './config-secret';

/**
 * Where alerts and heartbeats go. Names and options: cloudfoundry/bosh src/bosh-monitor/lib/bosh/monitor/plugins/.
 * `id` tells apart two plugins of one name; it is the plugin's name unless given.
 */
const plugin = <N extends string, O extends z.ZodType>(name: N, options: O, events: ('alert' | 'heartbeat')[]) =>
  z.strictObject({ name: z.literal(name), id: z.string().min(1).optional(), events: z.array(z.enum(['alert', 'heartbeat'])).min(1).default(events), options });

const port = z.int().min(1).max(65535);
const none = z.strictObject({}).prefault({});
const both: ('alert' | 'heartbeat')[] = ['alert', 'heartbeat'];

const pluginSchema = z.discriminatedUnion('name', [
  plugin('logger', z.strictObject({ format: z.literal('json').optional() }).prefault({}), ['alert']),
  plugin('event_logger', none, ['alert']),
  plugin('json', z.strictObject({ glob: z.string().default('/var/vcap/jobs/*/bin/bosh-monitor/*').describe('executables that get one JSON line per event') }).prefault({}), both),
  plugin(
    'email',
    z.strictObject({
      recipients: z.array(z.string()).min(1),
      smtp: z.strictObject({ from: z.string(), host: z.string(), port, domain: z.string(), tls: z.boolean().default(false).describe('STARTTLS is required'), auth: z.enum(['plain', 'login', 'cram_md5']).optional(), user: z.string().optional(), password: secret.optional() }),
      interval: z.number().min(0.1).default(10).describe('seconds between two mails'),
    }),
    ['alert'],
  ),
  plugin('pagerduty', z.strictObject({ service_key: secret, http_proxy: z.string().optional(), url: z.string().optional().describe('instead of PagerDuty\'s own') }), ['alert']),
  plugin(
    'data_dog',
    z.strictObject({ api_key: secret, application_key: secret, pagerduty_service_name: z.string().optional(), custom_tags: z.record(z.string(), z.string()).default({}), url: z.string().default('https://api.datadoghq.com') }),
    both,
  ),
  plugin('tsdb', z.strictObject({ host: z.string(), port, max_retries: z.int().min(-1).default(35) }), both),
  plugin('graphite', z.strictObject({ host: z.string(), port, prefix: z.string().optional(), max_retries: z.int().min(-1).default(35) }), ['heartbeat']),
  plugin('riemann', z.strictObject({ host: z.string(), port: port.default(5555) }), both),
  plugin(
    'consul_event_forwarder',
    z.strictObject({
      host: z.string(), port: port.default(8500), protocol: z.enum(['http', 'https']).default('http'), namespace: z.string().optional(), params: z.string().optional(), ttl: z.string().optional(),
      ttl_note: z.string().default('Automatically Registered by Bosh-Monitor'), events: z.boolean().default(false), heartbeats_as_alerts: z.boolean().default(false),
    }),
    both,
  ),
  plugin('webhook', z.strictObject({ url: z.string(), secret: secret.describe('key of the HMAC-SHA256 signature'), headers: z.record(z.string(), z.string()).default({}) }), ['alert']),
]);

export const pluginsSchema = z.array(pluginSchema).default([
  { name: 'logger', events: ['alert'], options: {} },
  { name: 'event_logger', events: ['alert'], options: {} },
]);

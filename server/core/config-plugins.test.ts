import { describe, expect, it } from 'vitest';
import { pluginsSchema } from './config-plugins';

function messagesOf(plugins: unknown): string[] {
  const { error } = pluginsSchema.safeParse(plugins);
  return (error?.issues ?? []).map((issue) => `${issue.path.join('.')}: ${issue.message}`);
}

describe('the plugins of the configuration', () => {
  it('are logger and event logger unless others are given', () => {
    expect(pluginsSchema.parse(undefined).map((plugin) => [plugin.name, plugin.events])).toEqual([['logger', ['alert']], ['event_logger', ['alert']]]);
  });

  it('have BOSH\'s options and defaults', () => {
    const [graphite, consul, email] = pluginsSchema.parse([
      { name: 'graphite', options: { host: 'g', port: 2003 } },
      { name: 'consul_event_forwarder', options: { host: 'c' } },
      { name: 'email', options: { recipients: ['ops@example.com'], smtp: { from: 'hm@example.com', host: 'm', port: 25 } } },
    ]);
    expect(graphite).toEqual({ name: 'graphite', events: ['heartbeat'], options: { host: 'g', port: 2003, max_retries: 35 } });
    expect(consul).toMatchObject({ events: ['alert', 'heartbeat'], options: { port: 8500, protocol: 'http', ttl_note: 'Automatically Registered by Bosh-Monitor', events: false } });
    expect(email).toMatchObject({ events: ['alert'], options: { interval: 10, smtp: { tls: false } } });
  });

  it('keep a tag called env, which is no secret', () => {
    const [plugin] = pluginsSchema.parse([{ name: 'data_dog', options: { api_key: 'k', custom_tags: { env: 'prod' } } }]);
    expect(plugin?.options).toMatchObject({ custom_tags: [{ name: 'env', value: 'prod' }] });
  });

  it('are refused with a sentence when they are unknown', () => {
    expect(messagesOf([{ name: 'carrier_pigeon', options: {} }])).toEqual([expect.stringMatching(/^0\.name: there is no plugin "carrier_pigeon"; there are logger, event_logger, .*webhook$/)]);
    expect(messagesOf([{ name: 'resurrector', options: { minimum_down_jobs: 3 } }])).toEqual(['0.name: the resurrector is a part of the health monitor, not a plugin: its settings are health_monitor.resurrector']);
  });

  it.each([
    ['an unknown option', [{ name: 'logger', options: { colour: 'red' } }], /colour/],
    ['a missing option', [{ name: 'tsdb', options: { host: 't' } }], /port/],
    ['an event that the plugin does not take', [{ name: 'webhook', events: ['heartbeat'], options: { url: 'https://x', secret: 's' } }], /events/],
    ['what is no URL', [{ name: 'webhook', options: { url: 'ftp://x', secret: 's' } }], /url/],
    ['a login without password', [{ name: 'email', options: { recipients: ['a@b'], smtp: { from: 'a@b', host: 'm', port: 25, auth: 'plain', user: 'u' } } }], /auth needs user and password/],
    ['two of one name', [{ name: 'webhook', options: { url: 'https://x', secret: 's' } }, { name: 'webhook', options: { url: 'https://y', secret: 's' } }], /1\.id: two plugins are called 'webhook': give each an id of its own/],
  ])('are refused with %s', (_what, plugins, expected) => {
    expect(messagesOf(plugins).join('\n')).toMatch(expected);
  });

  it('may have one name with ids of their own', () => {
    const options = { url: 'https://x', secret: 's' };
    expect(messagesOf([{ name: 'webhook', options }, { name: 'webhook', id: 'second', options }])).toEqual([]);
  });
});

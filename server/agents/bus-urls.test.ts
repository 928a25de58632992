import { expect, test } from 'vitest';
import { checkBusUrls } from './bus-urls';

test.each([[['nats://10.0.0.7:4222']], [['nats://nats-1.example.com:4222', 'nats://nats-2.example.com:4222']], [['nats://[fd00::7]:4222']]])('%j is a list of NATS servers', (urls) => {
  expect(checkBusUrls(urls)).toEqual(urls);
});

test.each([
  [[], /at least one/],
  [['10.0.0.7:4222'], /expected nats:\/\/host:port/],
  [['nats://10.0.0.7'], /expected nats:\/\/host:port/],
  [['nats://10.0.0.7:0'], /expected/],
  [['nats://10.0.0.7:65536'], /expected/],
  [['tls://10.0.0.7:4222'], /expected/],
  [['nats://user:password@10.0.0.7:4222'], /without user/],
  [['nats://10.0.0.7:4222/path'], /expected/],
  [['nats://10.0.0.7:4222 '], /expected/],
  [['nats://a:4222', 'nats://A:4222'], /named twice/],
])('%j is none', (urls, message) => {
  expect(() => checkBusUrls(urls)).toThrow(message);
});

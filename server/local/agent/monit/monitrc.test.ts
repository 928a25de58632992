import { describe, expect, it } from 'vitest';
import { parseMonitrc } from './monitrc';

const process = (over: object) => ({
  name: 'web',
  pidfile: '/var/vcap/sys/run/web/web.pid',
  start: { command: ['/var/vcap/jobs/web/bin/ctl', 'start'], timeoutMs: 30_000 },
  stop: { command: ['/var/vcap/jobs/web/bin/ctl', 'stop'], timeoutMs: 30_000 },
  group: 'vcap',
  dependsOn: [],
  ...over,
});

const usual = `check process web
  with pidfile /var/vcap/sys/run/web/web.pid
  start program "/var/vcap/jobs/web/bin/ctl start"
  stop program "/var/vcap/jobs/web/bin/ctl stop"
  group vcap
`;

describe('monitrc', () => {
  it('reads a process with its pidfile, programs and group', () => {
    expect(parseMonitrc(usual)).toEqual({ processes: [process({})], ignored: [] });
  });

  it('reads timeouts, users and the = form', () => {
    const text = `check process web with pidfile /var/vcap/sys/run/web/web.pid
      start program = "/var/vcap/jobs/web/bin/ctl start" as uid vcap and gid vcap with timeout 60 seconds
      stop program = "/var/vcap/jobs/web/bin/ctl stop" with timeout 5 seconds
      group vcap # all of them`;
    expect(parseMonitrc(text).processes).toEqual([
      process({ start: { command: ['/var/vcap/jobs/web/bin/ctl', 'start'], timeoutMs: 60_000 }, stop: { command: ['/var/vcap/jobs/web/bin/ctl', 'stop'], timeoutMs: 5_000 } }),
    ]);
  });

  it('reads several processes and what they depend on', () => {
    const text = `${usual}
check process worker with pidfile /run/worker.pid
  start program "/bin/sh -c 'exec worker --now'"
  stop program "/bin/kill-worker"
  depends on web, db
  depends on cache
  group vcap`;
    const [, worker] = parseMonitrc(text).processes;
    expect(worker).toMatchObject({ name: 'worker', dependsOn: ['web', 'db', 'cache'], start: { command: ['/bin/sh', '-c', 'exec worker --now'] } });
  });

  it('leaves tests out, also those over several lines, and goes on behind them', () => {
    const text = `check process web with pidfile /var/vcap/sys/run/web/web.pid
  if failed host 127.0.0.1 port 8080 protocol http
    and request "/health" with timeout 5 seconds for 3 cycles
  then restart
  if totalmem > 100 Mb for 3 cycles then alert else if succeeded then exec "/bin/true"
  if 5 restarts within 10 cycles then timeout
  start program "/var/vcap/jobs/web/bin/ctl start"
  stop program "/var/vcap/jobs/web/bin/ctl stop"
  mode manual
  group vcap`;
    const { processes, ignored } = parseMonitrc(text);
    expect(processes).toEqual([process({})]);
    expect(ignored).toHaveLength(4);
  });

  it('leaves checks of other things and global settings out', () => {
    const text = `set daemon 10\ncheck file log with path /var/log/x\n  if size > 1 GB then alert\n${usual}`;
    expect(parseMonitrc(text).processes).toEqual([process({})]);
  });

  it('has no processes for an empty file', () => {
    expect(parseMonitrc('# nothing to run\n')).toEqual({ processes: [], ignored: [] });
  });

  it.each([
    ['no pidfile', 'check process web matching "web.*"', "line 1: process 'web' has no pidfile"],
    ['no start program', '\ncheck process web with pidfile /x\n stop program "/x"', "line 2: process 'web' has no start program"],
    ['no stop program', 'check process web with pidfile /x\n start program "/x"', "has no stop program"],
    ['an end in the middle', 'check process', 'expected a process name'],
  ])('refuses a process with %s', (_name, text, message) => {
    expect(() => parseMonitrc(text)).toThrow(message);
  });
});

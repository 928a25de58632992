import { spawn } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { sleep } from '../../server/core/clock';
import { silentLog } from '../../server/core/log';
import { alertEvent } from '../../server/health/events';
import { findExecutables } from '../../server/health/plugins/glob';
import { createJson, type JsonTiming } from '../../server/health/plugins/json';
import type { Plugin } from '../../server/health/plugins/plugin';
import { testAlert, testHeartbeat, until } from '../support/events';
import { beat, deliver } from '../support/plugins';

const timing: JsonTiming = { rescan: 200, restart: 50, stall: 300 };
let folder: string;
let plugin: Plugin;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'directorate-json-'));
  plugin = createJson('json', { glob: join(folder, 'jobs/*/bin/bosh-monitor/*'), timing }, { log: silentLog });
});
afterEach(async () => {
  await plugin.stop?.();
  await rm(folder, { recursive: true, force: true });
});

/** A program of a job; `$OUT` in its text is the file that `outOf` reads. */
async function program(job: string, text: string, mode = 0o755): Promise<void> {
  const path = join(folder, 'jobs', job, 'bin/bosh-monitor/monitor');
  await mkdir(dirname(path), { recursive: true });
  await writeFile(`${path}.new`, `#!/bin/sh\n${text.replaceAll('$OUT', join(folder, job))}\n`);
  await chmod(`${path}.new`, mode);
  await rename(`${path}.new`, path);
}

async function outOf(job: string): Promise<string[]> {
  return (await readFile(join(folder, job), 'utf8').catch(() => '')).split('\n').filter((line) => line !== '');
}

const read = 'exec cat >> $OUT';

function runs(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe('the programs of the json plugin', () => {
  it('get each event as a line of JSON', async () => {
    await program('one', read);
    await program('two', read);
    await program('no program', read, 0o644);
    plugin.start?.();
    await deliver(plugin, testAlert({ id: '1' }), testAlert({ id: '2', summary: 'two\nlines' }));
    await beat(plugin, testHeartbeat(), testHeartbeat());
    for (const job of ['one', 'two']) {
      await until(async () => (await outOf(job)).length === 4);
      expect((await outOf(job)).map((line): unknown => JSON.parse(line))).toEqual([alertEvent(testAlert({ id: '1' })), alertEvent(testAlert({ id: '2', summary: 'two\nlines' })), testHeartbeat(), testHeartbeat()]);
    }
    expect(await outOf('no program')).toEqual([]);
  });

  it('are started as they come', async () => {
    plugin.start?.();
    await deliver(plugin, testAlert());
    await program('late', `echo started >> $OUT; ${read}`);
    await until(async () => (await outOf('late')).length === 1);
    await deliver(plugin, testAlert());
    await until(async () => (await outOf('late')).length === 2);
  });

  it('are started again when they fail, and get the alert that they missed, while others get it once', async () => {
    await program('steady', read);
    await program('fragile', 'if [ -e $OUT.dead ]; then exec cat >> $OUT; fi; echo $$ >> $OUT.pid; read line; touch $OUT.dead; exit 3');
    plugin.start?.();
    await deliver(plugin, testAlert({ id: 'kills' }));
    await until(async () => (await outOf('fragile.pid')).length === 1 && !runs(Number((await outOf('fragile.pid'))[0])));
    await until(() => deliver(plugin, testAlert({ id: 'next', seq: 2 })).then(() => true, () => false));
    await until(async () => (await outOf('fragile')).length === 1);
    expect((await outOf('fragile'))[0]).toContain('"id":"next"');
    expect((await outOf('steady')).map((line) => /"id":"(\w+)"/.exec(line)?.[1])).toEqual(['kills', 'next']);
  });

  it('are not started again when they end with success, and want no more', async () => {
    await program('done', 'echo started >> $OUT; exit 0');
    plugin.start?.();
    await until(async () => (await outOf('done')).length === 1);
    await sleep(400);
    expect(await outOf('done')).toEqual(['started']);
    await until(() => deliver(plugin, testAlert()).then(() => true, () => false));
  });

  it('that do not read are killed and started again; others get everything meanwhile', async () => {
    await program('deaf', 'echo $$ >> $OUT; exec sleep 1000');
    await program('well', read);
    plugin.start?.();
    await until(async () => (await outOf('deaf')).length === 1);
    const big = testHeartbeat({ message: { vitals: { note: 'x'.repeat(100_000) } } });
    let failed = '';
    for (let round = 0; round < 30; round++) {
      await beat(plugin, big).catch((error: Error) => (failed = error.message));
      await sleep(5);
    }
    expect(failed).toContain('deaf');
    await until(async () => (await outOf('deaf')).length >= 2, 3_000);
    await until(async () => (await outOf('well')).length === 30);
    const [first] = await outOf('deaf');
    expect(runs(Number(first))).toBe(false);
    await deliver(plugin, testAlert());
    await until(async () => (await outOf('well')).length === 31);
  });

  it('end when the plugin stops: by the end of their input, a signal or force', async () => {
    await program('polite', 'echo $$ >> $OUT; exec cat > /dev/null');
    await program('stubborn', "trap '' TERM; echo $$ >> $OUT; while true; do sleep 0.1; done");
    plugin.start?.();
    const pids: number[] = [];
    for (const job of ['polite', 'stubborn']) {
      await until(async () => (await outOf(job)).length === 1);
      pids.push(Number((await outOf(job))[0]));
    }
    expect(pids.map(runs)).toEqual([true, true]);
    await plugin.stop?.();
    await until(() => !pids.some(runs));
  });

  it('die with the node, even when that is killed', async () => {
    await program('orphan', 'echo $$ >> $OUT; exec sleep 1000');
    const source = resolve(__dirname, '../../server');
    const script = `
      import { createJson } from '${source}/health/plugins/json';
      import { sleep } from '../../server/core/clock';
import { silentLog } from '${source}/core/log';
      createJson('json', { glob: '${folder}/jobs/*/bin/bosh-monitor/*' }, { log: silentLog }).start?.();
      setInterval(() => undefined, 1000);`;
    await writeFile(join(folder, 'node.ts'), script);
    const node = spawn(process.execPath, ['--import', 'tsx', join(folder, 'node.ts')], { stdio: 'inherit', cwd: resolve(__dirname, '../..') });
    await until(async () => (await outOf('orphan')).length === 1, 20_000);
    const pid = Number((await outOf('orphan'))[0]);
    expect(runs(pid)).toBe(true);
    node.kill('SIGKILL');
    await until(() => !runs(pid));
  });
});

describe('the glob', () => {
  it('finds executables only, and no hidden ones unless asked for', async () => {
    for (const [name, mode] of [['a-1', 0o755], ['a-22', 0o755], ['b', 0o755], ['a-3', 0o644], ['.a-4', 0o755]] as const) await writeFile(join(folder, name), '', { mode });
    await mkdir(join(folder, 'a-5'));
    const find = async (pattern: string) => (await findExecutables(join(folder, pattern))).map((path) => path.slice(folder.length + 1));
    expect(await find('*')).toEqual(['a-1', 'a-22', 'b']);
    expect(await find('a-?')).toEqual(['a-1']);
    expect(await find('.*')).toEqual(['.a-4']);
    expect(await find('b')).toEqual(['b']);
    expect(await find('nowhere/*/x')).toEqual([]);
    expect(await findExecutables(join(dirname(folder), '*', 'a-22'))).toContain(join(folder, 'a-22'));
  });
});

import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createCpis, createVmWithRetries, type CpiCommand, type CpisOptions } from '../../server/cpi/client';
import type { ConfiguredCpi } from '../../server/cpi/configured';
import type { CpiCaller } from '../../server/cpi/cpi';
import { isCpiError } from '../../server/cpi/errors';
import { createVmCalls } from '../../server/cpi/vm-calls';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'directorate-cpi-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** A CPI in a few lines of JavaScript: `answer(request)` returns a result or throws `{type, message, ok_to_retry}`. It notes every request. */
async function writeCpi(body: string, name = 'cpi'): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, `#!${process.execPath}
const fs = require('node:fs');
const request = JSON.parse(fs.readFileSync(0, 'utf8'));
fs.appendFileSync(${JSON.stringify(join(folder, 'requests'))}, JSON.stringify({ ...request, env: process.env }) + '\\n');
const tries = fs.readFileSync(${JSON.stringify(join(folder, 'requests'))}, 'utf8').split('\\n').filter((line) => line.includes('"' + request.method + '"')).length;
const reply = (result, error = null, log = '') => process.stdout.write(JSON.stringify({ result, error, log }));
const answer = (request) => { ${body} };
try { const result = answer(request); if (result !== undefined) reply(result, null, 'log of ' + request.method); } catch (error) { reply(null, error); }
`, { mode: 0o755 });
  return path;
}

const withInfo = (body: string, apiVersion = 2) => `if (request.method === 'info') return { api_version: ${apiVersion}, stemcell_formats: ['warden-tar'] }; ${body}`;

const requestShape = z.looseObject({ method: z.string(), arguments: z.array(z.unknown()), env: z.record(z.string(), z.string()), api_version: z.number().optional(), context: z.record(z.string(), z.unknown()) });

async function requests() {
  return (await readFile(join(folder, 'requests'), 'utf8')).trim().split('\n').map((line) => requestShape.parse(JSON.parse(line)));
}

function openTask() {
  const lost = new AbortController();
  const lines: string[] = [];
  const output: string[] = [];
  const caller: CpiCaller = {
    log: { debug: (text) => void lines.push(text) },
    fence: async () => lost.signal.throwIfAborted(),
    cpiOutput: (text) => void output.push(text),
    uncancellable: () => ({ signal: lost.signal }),
  };
  return { caller, lines, output, lose: () => lost.abort(new Error('lost')) };
}

function open(path: string, more: Omit<Partial<CpisOptions>, 'onCall'> & Pick<CpisOptions, 'onCall'> = {}) {
  const task = openTask();
  const cpis = createCpis({ path, preferredApiVersion: 3, directorUuid: 'd-uuid', environment: { HOME: '/home/d', TMPDIR: undefined }, configured: async () => undefined, interpolate: async (command) => command, ...more });
  return { ...task, cpis, cpi: cpis.cpiFor('', task.caller) };
}

/** A CPI config of two clouds for one program. */
const twoClouds = (path: string): ConfiguredCpi[] => [
  { name: 'east', aliases: ['east', 'old-east'], execPath: path, properties: { region: 'e', password: 'SECRET', director_uuid: 'another' } },
  { name: 'west', aliases: ['west'], execPath: path, properties: { region: 'w' } },
];

const vm = { agentId: 'a', stemcellCid: 's', cloudProperties: { key: 'SECRET' }, networks: {}, diskCids: [], env: { bosh: { group: 'g', password: 'SECRET' } }, stemcellApiVersion: 3 };

describe('CPIs of a CPI config', () => {
  test('a CPI yields the processor to the director', async () => {
  const { cpi } = open(await writeCpi(withInfo("return require('node:os').getPriority() === 10;")));
  expect(await cpi.hasVm('vm-1')).toBe(true);
});

test('are told apart by their properties, which win in the context and are not logged', async () => {
    const path = await writeCpi(withInfo('return true'));
    const { cpis, caller, lines } = open('/nonexistent/own', { configured: async () => twoClouds(path) });
    await cpis.cpiFor('east', caller).hasVm('vm-1');
    await cpis.cpiFor('old-east', caller).hasVm('vm-2');
    await cpis.cpiFor('west', caller).hasVm('vm-3');
    // What one cloud says of itself says nothing of the other, though the program is the same.
    expect((await requests()).map(({ method, context }) => [method, context.region, context.director_uuid])).toEqual([
      ['info', 'e', 'another'], ['has_vm', 'e', 'another'], ['has_vm', 'e', 'another'], ['info', 'w', 'd-uuid'], ['has_vm', 'w', 'd-uuid'],
    ]);
    expect(lines.join('\n')).not.toContain('SECRET');
    expect(lines.join('\n')).toContain('"region":"<redacted>"');
  });

  test('get the values of variables at every call', async () => {
    const path = await writeCpi(withInfo('return true'));
    let value = 'first';
    const interpolate = async (command: CpiCommand) => ({ ...command, properties: { ...command.properties, region: value } });
    const { cpis, caller } = open('/nonexistent/own', { configured: async () => twoClouds(path), interpolate });
    await cpis.cpiFor('west', caller).hasVm('vm-1');
    value = 'second';
    await cpis.cpiFor('west', caller).hasVm('vm-1');
    expect((await requests()).map(({ context }) => context.region)).toEqual(['first', 'first', 'second', 'second']);
  });

  test('are looked for by name; the director keeps its own', async () => {
    const path = await writeCpi(withInfo('return true'));
    const configured = open(path, { configured: async () => twoClouds('/nonexistent/cpi') });
    expect(await configured.cpis.cpiFor('', configured.caller).hasVm('vm-1')).toBe(true);
    await expect(configured.cpis.cpiFor('north', configured.caller).hasVm('vm-1')).rejects.toThrow("CPI 'north' not found in cpi-config");
    await expect(open(path).cpis.cpiFor('north', configured.caller).hasVm('vm-1')).rejects.toThrow("CPI 'north' not found in cpi-config (because cpi-config is not set)");
  });
});

describe('a call', () => {
  test('asks for the version once, sends the request and returns the result', async () => {
    const { cpi, lines, output } = open(await writeCpi(withInfo(`process.stderr.write('first\\nsec'); process.stderr.write('ond'); return request.method === 'create_vm' ? ['vm-1', {}] : true;`)));
    expect(await cpi.createVm(vm)).toBe('vm-1');
    expect(await cpi.hasVm('vm-1')).toBe(true);
    const [info, create, has, ...rest] = await requests();
    expect(rest).toEqual([]);
    expect(info).toMatchObject({ method: 'info', arguments: [], context: { director_uuid: 'd-uuid', request_id: expect.stringMatching(/^cpi-\d{6}$/) } });
    expect(info).not.toHaveProperty('api_version');
    expect(create).toMatchObject({ method: 'create_vm', arguments: ['a', 's', vm.cloudProperties, {}, [], vm.env], api_version: 2, context: { vm: { stemcell: { api_version: 3 } } } });
    expect(has?.context).not.toHaveProperty('vm');
    expect(has?.env).toEqual({ PATH: '/usr/sbin:/usr/bin:/sbin:/bin', HOME: '/home/d' });
    expect(output).toEqual(['log of info\n', 'first\n', 'second\n', 'log of create_vm\n', 'first\n', 'second\n', 'log of has_vm\n']);
    expect(lines.join('\n')).not.toContain('SECRET');
    expect(lines).toContainEqual(expect.stringMatching(/^\[external-cpi\] \[cpi-\d{6}\] request: {"method":"info","arguments":\[\],"context":{.*}} with command: .*\/cpi$/));
    expect(lines).toContainEqual(expect.stringMatching(/^\[external-cpi\] \[cpi-\d{6}\] response: {"result":true,"error":null,"log":"log of has_vm"}, err: first\nsecond, exit_status: 0$/));
    expect(lines).toContain('Using cpi_version 2 for CPI ');
  });

  test('is told of with its duration and outcome, once it was made', async () => {
    const calls: Parameters<NonNullable<CpisOptions['onCall']>>[0][] = [];
    const { cpi, lose } = open(await writeCpi(withInfo(`if (request.method === 'has_vm') throw { type: 'Bosh::Clouds::CloudError', message: 'no', ok_to_retry: false }; return 'disk-1';`)), { onCall: (call) => void calls.push(call) });
    await cpi.createDisk(1, {}, 'vm-1');
    await expect(cpi.hasVm('1')).rejects.toThrow('no');
    lose();
    await expect(cpi.hasVm('1')).rejects.toThrow('lost');
    expect(calls.map(({ method, outcome }) => [method, outcome])).toEqual([['info', 'ok'], ['create_disk', 'ok'], ['has_vm', 'error']]);
    expect(calls.every(({ ms }) => ms > 5 && ms < 20_000)).toBe(true);
  });

  test('asks for the version again when the executable was replaced', async () => {
    const path = await writeCpi(withInfo('return true;'));
    const { cpi } = open(path);
    await cpi.hasVm('1');
    await utimes(path, new Date(), new Date(Date.now() + 5_000));
    await cpi.hasVm('1');
    expect((await requests()).map((one) => one.method)).toEqual(['info', 'has_vm', 'info', 'has_vm']);
  });

  test('gives tags to CPIs of version 3 only', async () => {
    const third = open(await writeCpi(withInfo(`return 'sc';`, 3)));
    await third.cpi.createStemcell('/image', { a: 1 }, { t: 'x' });
    const second = open(await writeCpi(withInfo(`return 'sc';`, 2), 'cpi2'));
    await second.cpi.createStemcell('/image', { a: 1 }, { t: 'x' });
    expect((await requests()).filter((one) => one.method === 'create_stemcell').map((one) => one.arguments)).toEqual([['/image', { a: 1 }, { tags: { t: 'x' } }], ['/image', { a: 1 }]]);
  });

  test('is not made without the right to act', async () => {
    const { cpi, lose } = open(await writeCpi(withInfo('return true;')));
    lose();
    await expect(cpi.deleteVm('vm-1', null)).rejects.toThrow('lost');
    await expect(requests()).rejects.toThrow('ENOENT');
  });
});

describe('a failure', () => {
  test('of the CPI keeps its type, whatever the exit code', async () => {
    const { cpi } = open(await writeCpi(withInfo(`process.exitCode = 3; throw { type: 'Bosh::Clouds::VMNotFound', message: 'no vm', ok_to_retry: false };`)));
    const error = await cpi.deleteVm('vm-1', 2).catch((caught: unknown) => caught);
    expect(isCpiError(error, 'VMNotFound')).toBe(true);
    expect(error).toMatchObject({ message: expect.stringMatching(/^CPI error 'Bosh::Clouds::VMNotFound' with message 'no vm' in 'delete_vm' CPI method \(CPI request ID: 'cpi-\d{6}'\)$/) });
  });

  test.each([
    ['a CPI that prints nonsense', `process.stdout.write('oops');`, /^Invalid CPI response - ParserError/],
    ['a CPI of version 1', `return { api_version: 1 };`, /^CPI API version 1 is not supported/],
    ['a CPI without a version', `return {};`, /^CPI must report api_version via info$/],
    ['a CPI without info', `throw { type: 'InvalidCall', message: "Method is not known, got 'info'", ok_to_retry: false };`, /^CPI must report api_version via info$/],
  ])('%s', async (_name, body, message) => {
    await expect(open(await writeCpi(body)).cpi.info()).rejects.toThrow(message);
  });

  test('a CPI that cannot be run', async () => {
    await expect(open(join(folder, 'none')).cpi.info()).rejects.toThrow(`Failed to run cpi: '${join(folder, 'none')}' is not executable`);
  });

  test('a disk without a hint', async () => {
    await expect(open(await writeCpi(withInfo(`return null;`))).cpi.attachDisk('vm', 'disk', 3)).rejects.toThrow('No disk_hint');
  });
});

describe('a lost task', () => {
  test('kills the CPI and what it started at once', async () => {
    const pidFile = join(folder, 'pid');
    const path = await writeCpi(withInfo(`
      const child = require('node:child_process').spawn('sleep', ['600'], { stdio: 'inherit' });
      fs.writeFileSync(${JSON.stringify(pidFile)}, String(child.pid));
      setInterval(() => {}, 1000);`));
    const { cpi, lose } = open(path);
    const call = cpi.createVm(vm);
    call.catch(() => undefined);
    await expect.poll(() => readFile(pidFile, 'utf8').catch(() => ''), { timeout: 10_000 }).not.toBe('');
    const grandchild = Number(await readFile(pidFile, 'utf8'));
    const before = performance.now();
    lose();
    await expect(call).rejects.toThrow('lost');
    expect(performance.now() - before).toBeLessThan(1_000);
    await expect.poll(() => isRunning(grandchild)).toBe(false);
  });
});

/** False for zombies too. */
async function isRunning(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  return status !== undefined && !/\) Z /.test(status);
}

describe('creating a VM', () => {
  const failing = (okToRetry: boolean, until: number) =>
    withInfo(`if (tries < ${until}) throw { type: 'Bosh::Clouds::VMCreationFailed', message: 'full', ok_to_retry: ${okToRetry} }; return ['vm-' + tries, {}];`);

  test('is tried again while the CPI says that it may help', async () => {
    const { cpi } = open(await writeCpi(failing(true, 3)));
    const retries: number[] = [];
    expect(await createVmWithRetries(cpi, vm, { maxTries: 5, onRetry: (_error, next) => retries.push(next) })).toBe('vm-3');
    expect(retries).toEqual([2, 3]);
  });

  test('ends after the last try, and at once when the CPI says that it will not help', async () => {
    const { cpi } = open(await writeCpi(failing(true, 9)));
    await expect(createVmWithRetries(cpi, vm, { maxTries: 2 })).rejects.toThrow("with message 'full'");
    expect((await requests()).filter((one) => one.method === 'create_vm')).toHaveLength(2);
    const other = open(await writeCpi(failing(false, 99), 'cpi2'));
    await expect(createVmWithRetries(other.cpi, vm, { maxTries: 5 })).rejects.toThrow("with message 'full'");
    expect((await requests()).filter((one) => one.method === 'create_vm')).toHaveLength(3);
  });
});

test('what BOSH forgives a CPI is forgiven: VMs that are gone, metadata and questions that it does not know', async () => {
  const { cpis, caller } = open(await writeCpi(withInfo(`
    if (request.method === 'delete_vm') throw { type: 'Bosh::Clouds::VMNotFound', message: 'x', ok_to_retry: false };
    throw { type: 'Bosh::Clouds::NotImplemented', message: 'x', ok_to_retry: false };`)));
  const calls = createVmCalls(cpis, { maxCreateTries: 1 });
  await calls.deleteVm(caller, 'vm-1', null);
  await calls.setVmMetadata(caller, 'vm-1', {});
  expect(await calls.hasVm(caller, 'vm-1')).toBeUndefined();
  await expect(calls.createVm(caller, vm)).rejects.toThrow('NotImplemented');
});

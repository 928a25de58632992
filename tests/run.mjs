import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkMachine, ensureDependencies, root } from '../server/local/setup.mjs';

/**
 * `npm test`: installs what is missing, then runs every check in turn. Each phase runs although an earlier one failed;
 * only what needs the build is failed without it. The last line is the sum: `N passed, N failed`.
 */

const started = performance.now();
const results = mkdtempSync(join(tmpdir(), 'directorate-results-'));
const env = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', VITE_CONFIG_NATIVE_IGNORE_WARNING: 'true' };
// Settings of an installation on this machine are none of the tests' business.
for (const name of Object.keys(env)) if (name.startsWith('DIRECTORATE_')) delete env[name];

const total = { passed: 0, failed: 0 };

setUp();
phase('Types', () => check(bin('tsc'), ['--noEmit']));
phase('Lint', () => check(bin('oxlint'), ['--type-aware']));
phase('Unit, architecture and integration tests', () => vitest('parts', ['--project', 'parts']));
const built = phase('Build', () => check(process.execPath, ['server/local/build.mjs']));
phase('High availability tests', () => (built ? vitest('ha', ['--project', 'ha']) : notBuilt()));
phase('Browser tests', () => (built ? playwright() : notBuilt()));

rmSync(results, { recursive: true, force: true });
process.stdout.write(`\nAll phases took ${seconds(started)}\n${total.passed} passed, ${total.failed} failed\n`);
process.exit(total.failed === 0 ? 0 : 1);

function setUp() {
  process.stdout.write('\n== Setting up\n');
  checkMachine();
  ensureDependencies((what) => process.stdout.write(`${what}\n`));
  // Made by Next's build otherwise; the type check comes before that.
  const nextTypes = join(root, 'next-env.d.ts');
  if (!existsSync(nextTypes)) writeFileSync(nextTypes, '/// <reference types="next" />\n/// <reference types="next/image-types/global" />\n');
  if (!existsSync('/usr/bin/chromium')) installChromium();
  env.NATS_SERVER_BIN = findNatsServer();
}

function installChromium() {
  if (process.getuid?.() !== 0) {
    process.stdout.write('There is no /usr/bin/chromium and this is not root: the browser tests will fail. Install it with: apt-get install chromium\n');
    return;
  }
  process.stdout.write("Installing Debian's chromium\n");
  const apt = { env: { ...env, DEBIAN_FRONTEND: 'noninteractive' } };
  sh('apt-get', ['update', '-qq'], apt);
  sh('apt-get', ['install', '-qq', '-y', '--no-install-recommends', 'chromium'], { ...apt, stdio: ['ignore', 'ignore', 'inherit'] });
}

/** The same search as `npm start` makes, done once for all tests. */
function findNatsServer() {
  const code = `require('./server/local/nats-binary.ts').findNatsServer({ env: process.env, cacheDir: 'node_modules/.cache/nats-server' }).then(
    (path) => process.stdout.write(require('node:path').resolve(path)), (error) => { process.stderr.write(error.message + '\\n'); process.exitCode = 1; })`;
  const found = sh(process.execPath, ['--import', 'tsx', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'], encoding: 'utf8' });
  if (found.status !== 0) {
    process.stdout.write('0 passed, 1 failed\n');
    process.exit(1);
  }
  return found.stdout.trim();
}

/** Runs one phase and adds its sums; true when nothing failed. */
function phase(title, work) {
  process.stdout.write(`\n== ${title}\n`);
  const since = performance.now();
  const { passed, failed } = work();
  total.passed += passed;
  total.failed += failed;
  process.stdout.write(`-- ${title}: ${passed} passed, ${failed} failed, ${seconds(since)}\n`);
  return failed === 0;
}

/** A check without tests of its own counts as one. */
function check(command, args) {
  return sh(command, args).status === 0 ? { passed: 1, failed: 0 } : { passed: 0, failed: 1 };
}

function notBuilt() {
  process.stdout.write('not run: the build failed\n');
  return { passed: 0, failed: 1 };
}

function vitest(name, args) {
  const file = join(results, `${name}.json`);
  const { status } = sh(bin('vitest'), ['run', '--reporter=default', '--reporter=json', `--outputFile.json=${file}`, ...args]);
  const { numPassedTests = 0, numFailedTests = 0 } = readJson(file);
  return sums(status, numPassedTests, numFailedTests);
}

function playwright() {
  const file = join(results, 'playwright.json');
  const { status } = sh(bin('playwright'), ['test', '--reporter=list,json'], { env: { ...env, PLAYWRIGHT_JSON_OUTPUT_NAME: file } });
  const { expected = 0, flaky = 0, unexpected = 0 } = readJson(file).stats ?? {};
  return sums(status, expected + flaky, unexpected);
}

/** A run that failed without a failed test (a file that does not load, no test at all) is a failure too. */
function sums(status, passed, failed) {
  return { passed, failed: status !== 0 && failed === 0 ? 1 : failed };
}

function readJson(file) {
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {};
}

function sh(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', env, ...options });
  if (result.error) process.stdout.write(`${command}: ${result.error.message}\n`);
  return result;
}

function bin(name) {
  return join(root, 'node_modules', '.bin', name);
}

function seconds(since) {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

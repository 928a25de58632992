import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** What must be there before anything of the project can run. Plain Node without dependencies: it installs them. */

/** The project's folder. */
export const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

const lockFile = join(root, 'package-lock.json');
const installedStamp = join(root, 'node_modules', '.directorate-installed');
const bundleStamp = join(root, 'dist', '.stamp');
const pagesStamp = join(root, '.next', '.directorate-stamp');

/** Refuses what cannot work, with a sentence that helps. */
export function checkMachine() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 9)) fail(`Directorate needs Node 20.9 or newer; this is ${process.version}.`);
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    fail(`The embedded default runs on Linux on x86-64 (its Postgres and NATS servers are such programs); this is ${process.platform} on ${process.arch}.`);
  }
}

/** Runs `npm ci` when the installed packages are not those of package-lock.json. */
export function ensureDependencies(say = () => undefined) {
  const wanted = digest([lockFile]);
  if (readStamp(installedStamp) === wanted) return;
  if (!installedMatchesLock()) {
    say('Installing dependencies (npm ci)');
    run(...npm('ci', '--no-audit', '--no-fund', '--loglevel=error'));
  }
  writeFileSync(installedStamp, wanted);
}

/** What is out of date: the programs in dist/ (`bundles`) and the console's pages in .next/ (`pages`). */
export function staleParts() {
  const bundles = readStamp(bundleStamp) !== bundleDigest();
  const pages = readStamp(pagesStamp) !== pagesDigest();
  return { bundles, pages };
}

/** Builds what is out of date, in processes of their own. */
export function ensureBuilt(say = () => undefined) {
  const { bundles, pages } = staleParts();
  if (!bundles && !pages) return;
  say(pages ? 'Building programs and console' : 'Building programs');
  run(process.execPath, [join(root, 'server', 'local', 'build.mjs')]);
}

/** Digest of everything that the programs in dist/ are made of. */
export function bundleDigest() {
  return digest([lockFile, join(root, 'package.json'), ...filesUnder('server'), ...filesUnder('db'), ...filesUnder(join('tests', 'bench'))]);
}

/** Digest of everything that the console is made of. */
export function pagesDigest() {
  const settings = ['next.config.js', 'postcss.config.mjs', 'postcss.config.js', 'tsconfig.json'].map((file) => join(root, file)).filter(existsSync);
  return digest([lockFile, ...settings, ...filesUnder('app'), ...filesUnder('public')]);
}

export const markBundles = (value) => writeStamp(bundleStamp, value);
export const markPages = (value) => writeStamp(pagesStamp, value);

/** Runs a program in the project's folder with its output shown; ends this process with its status when it fails. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) fail(`${command}: ${result.error.message}`);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

/** The npm that runs this script, else the one on the PATH. */
export function npm(...args) {
  const cli = process.env.npm_execpath;
  return cli && cli.endsWith('.js') ? [process.execPath, [cli, ...args]] : ['npm', args];
}

function fail(message) {
  process.stderr.write(`${message}\n`);
  process.exit(1);
}

/** True when someone ran `npm ci` or `npm install` with this very lock already. */
function installedMatchesLock() {
  const installedFile = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installedFile)) return false;
  const wanted = JSON.parse(readFileSync(lockFile, 'utf8')).packages ?? {};
  const installed = JSON.parse(readFileSync(installedFile, 'utf8')).packages ?? {};
  return Object.entries(wanted).every(([path, entry]) => path === '' || entry.optional || entry.peer || installed[path]?.version === entry.version);
}

function filesUnder(folder) {
  const path = join(root, folder);
  if (!existsSync(path)) return [];
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !/\.(test|spec)\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

function digest(files) {
  const hash = createHash('sha256');
  for (const file of [...files].sort((a, b) => (a < b ? -1 : 1))) hash.update(`${relative(root, file)}\0`).update(readFileSync(file)).update('\0');
  return hash.digest('hex');
}

function readStamp(path) {
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

function writeStamp(path, value) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, value);
}

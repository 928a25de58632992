import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bundleDigest, markBundles, markPages, pagesDigest, root, run, staleParts } from './setup.mjs';

/**
 * Builds what is out of date: one CommonJS file per program in dist/, the console's pages in .next/.
 * `--force` builds everything.
 */

/** Program in dist/ -> its entry. */
const programs = {
  node: 'server/main.ts',
  supervisor: 'server/local/supervisor.ts',
  'front-door': 'server/local/front-door.ts',
  'nats-auth': 'server/local/nats-auth.ts',
  'nats-ca': 'server/local/nats-ca.ts',
  'move-bus': 'server/local/move-bus.ts',
  'hash-password': 'server/local/hash-password.ts',
  cpi: 'server/local/cpi/main.ts',
  agent: 'server/local/agent/main.ts',
  simulator: 'server/local/simulator/main.ts',
  'render-worker': 'server/templates/worker.ts',
  'render-snapshot': 'server/templates/make-snapshot.ts',
};
/** Only where the tests are. */
const testPrograms = { bench: 'tests/bench/main.ts', soak: 'tests/soak/main.ts' };

async function buildBundles() {
  const { build } = await import('esbuild');
  const value = bundleDigest();
  const entries = { ...programs, ...Object.fromEntries(Object.entries(testPrograms).filter(([, entry]) => existsSync(join(root, entry)))) };
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: Object.entries(entries).map(([out, entry]) => ({ in: entry, out })),
    outdir: 'dist',
    outExtension: { '.js': '.cjs' },
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'cjs',
    external: ['next', 'pg-native'],
    logLevel: 'warning',
    write: false,
  });
  mkdirSync(join(root, 'dist'), { recursive: true });
  // Each file is replaced at once: CPI and agents of a running installation start from here at any time.
  for (const file of outputFiles) {
    writeFileSync(`${file.path}.new`, file.contents);
    renameSync(`${file.path}.new`, file.path);
  }
  run(process.execPath, [join(root, 'dist', 'render-snapshot.cjs'), join(root, 'dist', 'ruby.snapshot')]);
  markBundles(value);
}

function buildPages() {
  const value = pagesDigest();
  run(process.execPath, [join(root, 'node_modules', 'next', 'dist', 'bin', 'next'), 'build'], {
    env: { ...process.env, NEXT_TELEMETRY_DISABLED: '1', NODE_ENV: 'production' },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  markPages(value);
}

const force = process.argv.includes('--force');
const stale = staleParts();
if (stale.bundles || force) await buildBundles();
if (stale.pages || force) buildPages();

import { mkdtemp } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { rmSync } from 'node:fs';

/**
 * Bundles a program (path relative to the project) as the build does, into a folder of its own under node_modules,
 * from where packages resolve. Returns the path of the file; the folder goes away with the process.
 */
export async function bundleProgram(entry: string): Promise<string> {
  const folder = await mkdtemp(join(process.cwd(), 'node_modules', '.bundle-'));
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }));
  const outfile = join(folder, `${basename(entry, '.ts')}.cjs`);
  await build({ entryPoints: [entry], outfile, bundle: true, platform: 'node', target: 'node20', format: 'cjs', logLevel: 'error' });
  return outfile;
}

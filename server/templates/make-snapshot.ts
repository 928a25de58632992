import { createRequire } from 'node:module';
import { prelude } from './prelude.rb';
import { compileRuby, readRuby, rubyPath } from './ruby-module';
import { bootVm } from './ruby-vm';
import { snapshotKey, writeSnapshot } from './snapshot-file';

/** Program of the build: boots Ruby once and writes the snapshot from which nodes start their VMs. Usage: render-snapshot <file> */
async function main(): Promise<void> {
  const [, program, file] = process.argv;
  if (program === undefined || file === undefined) throw new Error('usage: render-snapshot <file>');
  const wasm = await readRuby(rubyPath(createRequire(program)));
  await writeSnapshot(file, snapshotKey(wasm, prelude), bootVm(await compileRuby(wasm), prelude).snapshot());
}

void main();

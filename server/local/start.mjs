import { join } from 'node:path';
import { checkMachine, ensureBuilt, ensureDependencies, root } from './setup.mjs';

/** `npm start`: installs and builds what is missing, then runs the embedded default in this process, in the foreground. */

const say = (what) => process.stdout.write(`  ${what} …\n`);

checkMachine();
ensureDependencies(say);
ensureBuilt(say);
await import(join(root, 'dist', 'supervisor.cjs'));

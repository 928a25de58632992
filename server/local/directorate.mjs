#!/usr/bin/env node
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The command of an installation: runs one of the built programs. */
const programs = {
  node: 'one director node; its configuration is named by DIRECTORATE_CONFIG',
  'nats-auth': 'beside a NATS server: keeps its users file equal to the agents of the director',
  'nats-ca': 'a CA for NATS, and certificates of it for servers, directors and health monitors',
  'move-bus': 'gives VMs other NATS servers, or certificates of another NATS CA',
  'hash-password': 'a password on standard input becomes a value for auth.users[].password_hash',
};

const [name = '', ...args] = process.argv.slice(2);
const program = join(dirname(fileURLToPath(import.meta.url)), '..', '..', 'dist', `${name}.cjs`);
if (!Object.hasOwn(programs, name)) {
  process.stderr.write(`Usage: directorate COMMAND\n\n${Object.entries(programs).map(([command, text]) => `  ${command.padEnd(15)}${text}\n`).join('')}`);
  process.exitCode = 2;
} else if (!existsSync(program)) {
  process.stderr.write(`${program} is missing: run \`npm ci\` and \`npm run build\` first\n`);
  process.exitCode = 1;
} else {
  const child = spawn(process.execPath, [program, ...args], { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal ? 1 : 0);
  });
}

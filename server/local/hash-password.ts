import { text } from 'node:stream/consumers';
import { hashPassword } from '../auth/password';

/** `directorate hash-password`: reads a password from standard input and prints what belongs into `auth.users[].password_hash`. */
async function main(): Promise<void> {
  if (process.stdin.isTTY) process.stderr.write('Password, then Enter and Ctrl-D:\n');
  const password = (await text(process.stdin)).replace(/\r?\n$/, '');
  if (password === '') throw new Error('the password is empty');
  process.stdout.write(`${await hashPassword(password)}\n`);
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
});

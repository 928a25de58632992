import { accessSync, constants, existsSync } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { runCommand } from './command';

/**
 * Finds a nats-server: the program named by NATS_SERVER_BIN, else one on the PATH, else Debian's package, fetched with
 * apt (which checks its signature) and unpacked into `cacheDir`; nothing is installed. Throws an Error that says what to do.
 */
export async function findNatsServer(options: { env: Record<string, string | undefined>; cacheDir: string; onDownload?: () => void }): Promise<string> {
  const named = options.env.NATS_SERVER_BIN;
  if (named) {
    if (!isExecutable(named)) throw new Error(`NATS_SERVER_BIN is '${named}', which is not an executable file`);
    return named;
  }
  // Debian puts the server into /usr/sbin, which is often not on the PATH of a user.
  const folders = [...(options.env.PATH ?? '').split(delimiter).filter(Boolean), '/usr/sbin', '/usr/local/sbin'];
  const installed = folders.map((folder) => join(folder, 'nats-server')).find(isExecutable);
  if (installed !== undefined) return installed;
  const unpacked = join(options.cacheDir, 'usr', 'sbin', 'nats-server');
  if (!isExecutable(unpacked)) {
    options.onDownload?.();
    await unpackDebianPackage(options.cacheDir);
  }
  return unpacked;
}

async function unpackDebianPackage(cacheDir: string): Promise<void> {
  const fresh = `${cacheDir}.${process.pid}`;
  await mkdir(fresh, { recursive: true });
  try {
    await download(fresh);
    const deb = (await readdir(fresh)).find((file) => file.endsWith('.deb'));
    if (deb === undefined) throw new Error('apt-get download left no package');
    await runCommand({ file: 'dpkg', args: ['-x', join(fresh, deb), join(fresh, 'unpacked')] });
    await rm(cacheDir, { recursive: true, force: true });
    await rename(join(fresh, 'unpacked'), cacheDir);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`there is no nats-server: install one (Debian: apt-get install nats-server) or name its program in NATS_SERVER_BIN. Fetching Debian's package failed: ${reason}`, { cause });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
}

async function download(folder: string): Promise<void> {
  const fetchPackage = () => runCommand({ file: 'apt-get', args: ['download', 'nats-server'], cwd: folder });
  try {
    await fetchPackage();
  } catch (error) {
    if (process.getuid?.() !== 0 || !existsSync('/etc/apt')) throw error;
    await runCommand({ file: 'apt-get', args: ['update', '-qq'] }); // a fresh machine or image has no package lists
    await fetchPackage();
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

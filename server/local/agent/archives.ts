import { mkdir, rm, writeFile } from 'node:fs/promises';
import { minimalPath, runCommand } from './command';

/** Unpacks a gzipped tar into a directory that it makes. Names that would leave the directory are refused by tar. */
export async function unpackArchive(archive: string, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  await tar(['-xzf', archive, '-C', directory, '--no-same-owner']);
}

/** Packs what is in a directory: its entries, not itself. */
export async function packArchive(directory: string, archive: string): Promise<void> {
  await tar(['-czf', archive, '-C', directory, '.']);
}

/** Packs the named files of a directory, perhaps none; they may grow meanwhile. */
export async function packFiles(directory: string, archive: string, names: string[]): Promise<void> {
  const list = `${archive}.list`;
  await writeFile(list, names.map((name) => `${name}\0`).join(''));
  try {
    await tar(['-czf', archive, '-C', directory, '--null', '--no-recursion', '--verbatim-files-from', '-T', list], { tolerateChanges: true });
  } finally {
    await rm(list, { force: true });
  }
}

/** With status 1 GNU tar reports a file that grew while it was read, as logs do. */
async function tar(args: string[], options: { tolerateChanges?: boolean } = {}): Promise<void> {
  const { status, stderr } = await runCommand(['tar', ...args], { env: { PATH: minimalPath } });
  if (status !== 0 && !(status === 1 && options.tolerateChanges === true)) throw new Error(`tar failed with status ${status}: ${stderr.trim().slice(-1000)}`);
}

import { constants } from 'node:fs';
import { access, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Executable files at an absolute path whose parts may have `*` (anything, but no hidden names) and `?` (one character), sorted. What
 * cannot be read is left out.
 */
export async function findExecutables(pattern: string): Promise<string[]> {
  let found = ['/'];
  for (const part of pattern.split('/').filter((each) => each !== '')) {
    found = /[*?]/.test(part) ? (await Promise.all(found.map((folder) => matching(folder, part)))).flat() : found.map((folder) => join(folder, part));
  }
  const usable = await Promise.all(found.map(isExecutable));
  return found.filter((_path, index) => usable[index]).toSorted();
}

async function matching(folder: string, part: string): Promise<string[]> {
  const pattern = new RegExp(`^${part.replace(/[.+^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*').replaceAll('?', '.')}$`);
  const names = await readdir(folder).catch(() => []);
  return names.filter((name) => pattern.test(name) && (!name.startsWith('.') || part.startsWith('.'))).map((name) => join(folder, name));
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readdir, rm } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { z } from 'zod';
import type { AgentContext } from '../agent-context';
import { packFiles } from '../archives';
import { readArgument } from '../arguments';
import { hashFile } from '../blobs/digest';
import { storeSigned } from '../blobs/signed-url';
import { isMissing } from '../files';
import type { Actions } from '../protocol';
import { trustedCa } from './compile';

const filtersSchema = z
  .array(z.string())
  .nullish()
  .transform((value) => (value === null || value === undefined || value.length === 0 ? ['**/*'] : value));
const headersSchema = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? undefined);
const signedSchema = z.object({ signed_url: z.string(), log_type: z.string(), filters: filtersSchema, blobstore_headers: headersSchema });

/** Actions about logs: fetch_logs by blobstore or signed URL, bundle_logs, remove_file. */
export function logActions(context: AgentContext): Actions {
  return {
    fetch_logs: {
      mode: 'async',
      required: 2,
      run: (call) => withBundle(context, { types: readArgument(call, 0, z.string()), filters: readArgument(call, 1, filtersSchema) }, (archive) => context.blobs.store(archive)),
    },
    fetch_logs_with_signed_url: {
      mode: 'async',
      required: 1,
      run: async (call) => {
        const { signed_url, log_type, filters, blobstore_headers } = readArgument(call, 0, signedSchema);
        return withBundle(context, { types: log_type, filters }, async (archive) => ({
          sha1: await storeSigned({ url: signed_url, headers: blobstore_headers, ca: trustedCa(context) }, archive),
        }));
      },
    },
    bundle_logs: {
      mode: 'sync',
      required: 1,
      run: async (call) => {
        const { log_type, filters } = readArgument(call, 0, z.object({ log_type: z.string(), filters: filtersSchema }));
        const archive = await bundle(context, { types: log_type, filters });
        await chmod(archive, 0o600);
        return { logs_tar_path: archive, sha512: await hashFile(archive, 'sha512') };
      },
    },
    remove_file: {
      mode: 'sync',
      required: 1,
      run: async (call) => {
        const path = readArgument(call, 0, z.string());
        if (relative(context.base, path).startsWith('..')) throw new Error(`${path} is not below ${context.base}`);
        await rm(path, { force: true });
        return path;
      },
    },
  };
}

interface Selection {
  /** Comma-joined: job, agent, system. */
  types: string;
  /** Globs below the directory of a type. */
  filters: string[];
}

async function withBundle<T>(context: AgentContext, selection: Selection, use: (archive: string) => Promise<T>): Promise<T> {
  const archive = await bundle(context, selection);
  try {
    return await use(archive);
  } finally {
    await rm(archive, { force: true });
  }
}

/** Packs the chosen log files; with several types each has a directory of its own, so they are packed from their common parent. */
async function bundle(context: AgentContext, selection: Selection): Promise<string> {
  const types = selection.types.split(',').map((type) => type.trim());
  const directories = types.map((type) => logDirectory(context.base, type));
  const [only] = directories;
  const root = directories.length === 1 && only !== undefined ? only : '/';
  const members: string[] = [];
  for (const directory of directories) {
    for (const path of await listFiles(directory)) {
      if (selection.filters.some((filter) => matchesGlob(relative(directory, path), filter))) members.push(relative(root, path));
    }
  }
  const tmp = join(context.base, 'data', 'tmp');
  await mkdir(tmp, { recursive: true });
  const archive = join(tmp, `${randomUUID()}.tgz`);
  await mkdir(root, { recursive: true });
  await packFiles(root, archive, members);
  return archive;
}

function logDirectory(base: string, type: string): string {
  switch (type) {
    case 'job':
      return join(base, 'data', 'sys', 'log');
    case 'agent':
      return join(base, 'bosh', 'log');
    case 'system':
      return '/var/log';
    default:
      throw new Error('Invalid log type');
  }
}

async function listFiles(directory: string): Promise<string[]> {
  try {
    const entries = await readdir(directory, { recursive: true, withFileTypes: true });
    return entries.flatMap((entry) => (entry.isFile() ? [join(entry.parentPath, entry.name)] : [])).sort();
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

/** `*` and `?` stay within a directory, `**` crosses them. */
export function matchesGlob(path: string, glob: string): boolean {
  const pattern = glob.replace(/\*\*\/|\*\*|\*|\?|[.+^${}()|[\]\\]/g, (part) => {
    if (part === '**/') return '(?:.*/)?';
    if (part === '**') return '.*';
    if (part === '*') return '[^/]*';
    return part === '?' ? '[^/]' : `\\${part}`;
  });
  return new RegExp(`^${pattern}$`).test(path);
}

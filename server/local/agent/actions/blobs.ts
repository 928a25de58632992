import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { matchesDigest } from '../../../core/digest';
import type { AgentContext } from '../agent-context';
import { readArgument } from '../arguments';
import { fetchSigned } from '../blobs/signed-url';
import { readJsonFile, writeFileAtomic } from '../files';
import type { Actions } from '../protocol';
import { trustedCa } from './compile';

const uploadSchema = z.object({ blob_id: z.string(), checksum: z.string(), payload: z.string() });
const recordsSchema = z.object({ version: z.number(), records: z.array(z.tuple([z.string(), z.string()], z.unknown())).nullish() });
const signedSchema = z.object({
  signed_url: z.string(),
  multi_digest: z.string(),
  version: z.number(),
  blobstore_headers: z
    .record(z.string(), z.string())
    .nullish()
    .transform((value) => value ?? undefined),
});

/** Actions that take content from the director: upload_blob and the DNS records. */
export function blobActions(context: AgentContext): Actions {
  const tmp = join(context.base, 'data', 'tmp');
  return {
    upload_blob: {
      mode: 'async',
      required: 1,
      run: async (call) => {
        const { blob_id, checksum, payload } = readArgument(call, 0, uploadSchema);
        const content = Buffer.from(payload, 'base64');
        if (!matchesDigest(content, checksum)) throw new Error(`The payload of blob '${blob_id}' does not have the digest ${checksum}`);
        await writeFileAtomic(context.blobs.sentPath(blob_id), content, 0o600);
        return blob_id;
      },
    },
    sync_dns: {
      mode: 'sync',
      required: 3,
      run: async (call) => {
        const blob = { id: readArgument(call, 0, z.string()), digest: readArgument(call, 1, z.string()) };
        return syncDns(context.base, readArgument(call, 2, z.number()), () => context.blobs.fetch(blob, tmp));
      },
    },
    sync_dns_with_signed_url: {
      mode: 'sync',
      required: 1,
      run: async (call) => {
        const { signed_url, multi_digest, version, blobstore_headers } = readArgument(call, 0, signedSchema);
        return syncDns(context.base, version, () => fetchSigned({ url: signed_url, headers: blobstore_headers, ca: trustedCa(context) }, multi_digest, tmp));
      },
    },
  };
}

/** Takes newer records into use: the file that jobs read, and a hosts file. */
async function syncDns(base: string, version: number, fetch: () => Promise<string>): Promise<'synced'> {
  const path = join(base, 'instance', 'dns', 'records.json');
  const present = await readJsonFile(path, recordsSchema);
  if (present !== undefined && present.version >= version) return 'synced';
  const blob = await fetch();
  const content = await readFile(blob);
  await rm(blob, { force: true });
  const records = recordsSchema.parse(JSON.parse(content.toString('utf8')));
  if (records.version !== version) throw new Error(`The DNS blob has version ${records.version}, not ${version} as requested`);
  const hosts = (records.records ?? []).map(([ip, name]) => `${ip} ${name}\n`).join('');
  await writeFileAtomic(join(base, 'bosh', 'etc_hosts'), `127.0.0.1 localhost\n${hosts}`);
  await writeFileAtomic(path, content, 0o640);
  return 'synced';
}

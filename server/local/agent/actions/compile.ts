import { randomUUID } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { sha1Hex } from '../../../core/digest';
import type { AgentContext } from '../agent-context';
import { packageSchema, type PackageSpec } from '../apply-spec';
import { packArchive, unpackArchive } from '../archives';
import { readArgument } from '../arguments';
import { fetchSigned, storeSigned, type SignedUrl } from '../blobs/signed-url';
import { runCommand } from '../command';
import { readTextFile } from '../files';
import { safeName } from '../install';
import type { Actions } from '../protocol';

const depsSchema = z
  .record(z.string(), packageSchema.extend({ package_get_signed_url: z.string().nullish() }))
  .nullish()
  .transform((deps) => Object.values(deps ?? {}).map(({ package_get_signed_url, ...dep }): PackageSpec => ({ ...dep, signed_url: package_get_signed_url ?? dep.signed_url })));
const headersSchema = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? undefined);
const nameSchema = z.string().transform(safeName);
const versionSchema = z.string().min(1, 'a package must have a version');

const signedSchema = z.object({
  package_get_signed_url: z.string(),
  upload_signed_url: z.string(),
  blobstore_headers: headersSchema,
  digest: z.string(),
  name: nameSchema,
  version: versionSchema,
  deps: depsSchema,
});

interface Compilation {
  name: string;
  version: string;
  digest: string;
  deps: PackageSpec[];
  fetchSource: (directory: string) => Promise<string>;
}

/** Actions that compile a package: its `packaging` script is run, what it installs is packed and stored. */
export function compileActions(context: AgentContext): Actions {
  const ca = () => trustedCa(context);
  return {
    compile_package: {
      mode: 'async',
      required: 5,
      run: async (call) => {
        const digest = readArgument(call, 1, z.string());
        const id = readArgument(call, 0, z.string());
        const compilation = {
          name: readArgument(call, 2, nameSchema),
          version: readArgument(call, 3, versionSchema),
          deps: readArgument(call, 4, depsSchema),
          digest,
          fetchSource: (directory: string) => context.blobs.fetch({ id, digest }, directory),
        };
        return compile(context, compilation, (archive) => context.blobs.store(archive));
      },
    },
    compile_package_with_signed_url: {
      mode: 'async',
      required: 1,
      run: async (call) => {
        const { package_get_signed_url, upload_signed_url, blobstore_headers, ...rest } = readArgument(call, 0, signedSchema);
        const signed = (url: string): SignedUrl => ({ url, headers: blobstore_headers, ca: ca() });
        const fetchSource = (directory: string) => fetchSigned(signed(package_get_signed_url), rest.digest, directory);
        return compile(context, { ...rest, fetchSource }, async (archive) => ({ sha1: await storeSigned(signed(upload_signed_url), archive) }));
      },
    },
  };
}

async function compile(context: AgentContext, compilation: Compilation, store: (archive: string) => Promise<unknown>): Promise<{ result: unknown }> {
  const { installer, base } = context;
  const source = join(base, 'data', 'compile', compilation.name);
  // The key differs from that of the compiled package, whose digest is not known yet.
  const target = installer.packageDirectory({ name: compilation.name, version: compilation.version, sha1: `source ${sha1Hex(compilation.digest)}` });
  const archive = join(base, 'data', 'tmp', randomUUID());
  await installer.keepPackages(compilation.deps.map((dep) => dep.name));
  for (const dep of compilation.deps) await installer.enablePackage(dep);
  try {
    await rm(source, { recursive: true, force: true });
    const blob = await compilation.fetchSource(join(base, 'data', 'tmp'));
    await unpackArchive(blob, source);
    await rm(blob, { force: true });
    await rm(target, { recursive: true, force: true });
    await mkdir(target, { recursive: true });
    await installer.link('packages', compilation.name, target);
    await runPackaging(context, compilation, source);
    await packArchive(target, archive);
    return { result: await store(archive) };
  } finally {
    await rm(source, { recursive: true, force: true });
    await rm(archive, { force: true });
    await installer.keepPackages([]);
  }
}

async function runPackaging(context: AgentContext, compilation: Compilation, source: string): Promise<void> {
  if ((await readTextFile(join(source, 'packaging'))) === undefined) return;
  const env = {
    ...context.env,
    BOSH_COMPILE_TARGET: source,
    BOSH_INSTALL_TARGET: join(context.base, 'packages', compilation.name),
    BOSH_PACKAGE_NAME: compilation.name,
    BOSH_PACKAGE_VERSION: compilation.version,
  };
  const { status, stdout, stderr } = await runCommand(['bash', '-x', 'packaging'], { cwd: source, env });
  if (status !== 0) throw new Error(`Compiling package ${compilation.name}: Running packaging script: Command exited with ${status}; Stdout: ${stdout}, Stderr: ${stderr}`);
}

/** PEM of the CA that the blobstore's settings name for HTTPS; empty for the system's. */
export function trustedCa(context: Pick<AgentContext, 'blobSettings'>): string {
  const options = z.object({ tls: z.object({ cert: z.object({ ca: z.string() }) }) }).safeParse(context.blobSettings().options);
  return options.data?.tls.cert.ca ?? '';
}

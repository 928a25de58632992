import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The real `bosh` binary against one director, with a home of its own. */
export interface BoshCli {
  /** Runs a command; stdout and stderr together. */
  run(...args: string[]): Promise<{ status: number; output: string }>;
  /** Runs a command that must succeed, with `--json`; the rows of its first table. */
  table(...args: string[]): Promise<Record<string, string>[]>;
  folder: string;
  remove(): Promise<void>;
}

export async function openBoshCli(binary: string, director: { url: string; ca: string; client: string; secret: string }): Promise<BoshCli> {
  const folder = await mkdtemp(join(tmpdir(), 'bosh-cli-'));
  await writeFile(join(folder, 'ca.pem'), director.ca);
  const env = {
    NODE_ENV: 'test' as const, PATH: process.env.PATH, HOME: folder, BOSH_ENVIRONMENT: director.url, BOSH_CA_CERT: join(folder, 'ca.pem'), BOSH_CLIENT: director.client, BOSH_CLIENT_SECRET: director.secret, BOSH_NON_INTERACTIVE: 'true',
  };
  const run = (...args: string[]) =>
    new Promise<{ status: number; output: string }>((resolve) => {
      execFile(binary, args, { env, timeout: 50_000 }, (error, stdout, stderr) => resolve({ status: error ? (typeof error.code === 'number' ? error.code : 1) : 0, output: stdout + stderr }));
    });
  return {
    run,
    table: async (...args) => {
      const { status, output } = await run('--json', ...args);
      if (status !== 0) throw new Error(`bosh ${args.join(' ')}: ${output}`);
      const parsed = JSON.parse(output) as { Tables: { Rows: Record<string, string>[] }[] };
      return parsed.Tables[0]?.Rows ?? [];
    },
    folder,
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}

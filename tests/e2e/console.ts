import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { AxeBuilder } from '@axe-core/playwright';
import { test as base, expect, type Page } from '@playwright/test';
import { Client } from 'pg';
import { stringify } from 'yaml';
import { z } from 'zod';
import { findVm } from '../../server/local/cpi/records';
import { cidOfAgent, powerOff } from '../../server/local/cpi/vms';
import { helloManifest, type HelloManifestOptions } from '../../server/local/samples/manifests';
import { readProcessList, type ProcessEntry } from '../../server/local/process-list';
import { CliClient } from '../support/cli-client';

const credentials = z.object({ url: z.url(), console_url: z.url(), client: z.string(), client_secret: z.string(), ca_cert_path: z.string(), nodes: z.array(z.string()) });

/** The installation under test. */
export interface System {
  url: string;
  client: string;
  secret: string;
  /** The same director as the CLI sees it. */
  cli: CliClient;
  processes(): ProcessEntry[];
  /** One statement on its database. */
  sql<T extends Record<string, unknown>>(text: string, values?: unknown[]): Promise<T[]>;
  /** Ends everything that runs on a VM, as a power cut does. */
  powerOff(agentId: string): Promise<void>;
}

function readSystem(): System {
  const path = process.env.DIRECTORATE_E2E_CREDS ?? '';
  const creds = credentials.parse(JSON.parse(readFileSync(path, 'utf8')));
  return {
    url: creds.url,
    client: creds.client,
    secret: creds.client_secret,
    cli: new CliClient({ url: creds.url, ca: readFileSync(creds.ca_cert_path, 'utf8'), client: creds.client, secret: creds.client_secret }),
    processes: () => readProcessList(join(dirname(path), 'run')),
    sql: async <T extends Record<string, unknown>>(text: string, values: unknown[] = []) => {
      const client = new Client({ connectionString: readFileSync(join(dirname(path), 'secrets', 'database-url'), 'utf8').trim() });
      await client.connect();
      try {
        return (await client.query<T>(text, values)).rows;
      } finally {
        await client.end();
      }
    },
    powerOff: async (agentId) => {
      const cloud = join(dirname(path), 'cloud');
      const vm = findVm(cloud, cidOfAgent(agentId));
      if (!vm) throw new Error(`there is no VM of agent ${agentId}`);
      await powerOff(cloud, vm);
    },
  };
}

/** `page` is logged in; `system` is what it shows. */
export const test = base.extend<{ system: System; signedIn: boolean }>({
  signedIn: [true, { option: true }],
  system: async ({}, use) => use(readSystem()), // oxlint-disable-line no-empty-pattern
  baseURL: async ({ system }, use) => use(system.url),
  page: async ({ page, system, signedIn }, use) => {
    if (signedIn) await signIn(page, system);
    await use(page);
  },
});
export { expect };

async function signIn(page: Page, system: System): Promise<void> {
  const answer = await page.request.post('/api/trpc/auth.login', { headers: { 'x-directorate': '1' }, data: { json: { username: system.client, password: system.secret } } });
  expect(answer.status()).toBe(200);
}

/** Starts a deploy and returns its task; one that waits `watchMs` at each instance can be watched. */
export async function startDeploy(system: System, options: Partial<HelloManifestOptions> & { name: string; watchMs?: number }): Promise<number> {
  const { watchMs = 1_000, ...hello } = options;
  // Another greeting each time, so that a deployment of an earlier run changes too.
  const greeting = `Hello at ${new Date().toISOString()}`;
  const watch = `${watchMs}-${watchMs + 30_000}`;
  const manifest = { ...helloManifest({ node: process.execPath, port: 18_400, greeting, ...hello }), update: { canaries: 1, max_in_flight: 1, canary_watch_time: watch, update_watch_time: watch } };
  return system.cli.start('POST', '/deployments', { contentType: 'text/yaml', body: stringify(manifest) });
}

export const themes = ['light', 'dark'] as const;

/** Looks at the page in each theme, without moving parts. */
export async function inEachTheme(page: Page, look: (theme: (typeof themes)[number]) => Promise<void>): Promise<void> {
  for (const theme of themes) {
    await page.emulateMedia({ colorScheme: theme, reducedMotion: 'reduce' });
    await look(theme);
  }
}

/** What WCAG 2.2 AA forbids and the page has, as lines. */
export async function problems(page: Page): Promise<string[]> {
  const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']).analyze();
  return violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`);
}

/** Kills a director node as the kernel would. */
export function killNode(system: System, name: string): void {
  const entry = system.processes().find((one) => one.role === 'node' && one.name === name);
  if (!entry) throw new Error(`node ${name} does not run`);
  process.kill(entry.pid, 'SIGKILL');
}

/** The component of the cluster strip. */
export function strip(page: Page) {
  return page.getByRole('navigation', { name: 'Cluster' });
}

import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import type { AgentContext } from '../agent-context';
import { jobNames } from '../apply-spec';
import { readArgument } from '../arguments';
import { isMissing } from '../files';
import type { Actions } from '../protocol';

const stopTimeoutMs = 300_000;

/** Actions about the agent and its processes as a whole. */
export function lifecycleActions(context: AgentContext): Actions {
  return {
    ping: { mode: 'sync', run: async () => 'pong' },
    info: { mode: 'sync', run: async () => ({ api_version: 1 }) },
    start: {
      mode: 'sync',
      run: async () => {
        await context.jobs.register(await readMonitFiles(context));
        await context.jobs.startAll();
        return 'started';
      },
    },
    stop: {
      mode: 'async',
      run: async () => {
        await context.jobs.stopAll(stopTimeoutMs);
        return 'stopped';
      },
    },
    delete_arp_entries: {
      mode: 'sync',
      required: 1,
      // Addresses of the local cloud are on the loopback interface, which has no ARP cache.
      run: async (call) => {
        readArgument(call, 0, z.object({ ips: z.array(z.string()) }));
        return {};
      },
    },
    shutdown: {
      mode: 'sync',
      run: async () => {
        context.powerOff();
        return '';
      },
    },
    ssh: {
      mode: 'sync',
      run: async () => {
        throw new Error('VMs of the local cloud are processes on this machine and have no SSH server');
      },
    },
  };
}

/** The control files of the jobs in use: `monit` and `*.monit` of each, the last job of the spec first. */
async function readMonitFiles(context: AgentContext): Promise<{ job: string; name: string; text: string }[]> {
  const spec = context.specs.current();
  const files: { job: string; name: string; text: string }[] = [];
  if (spec.rendered_templates_archive === null) return files;
  for (const job of jobNames(spec).reverse()) {
    const directory = join(context.base, 'jobs', job);
    const names = (await readdir(directory)).filter((name) => name === 'monit' || name.endsWith('.monit')).sort();
    for (const name of names) {
      const text = await readFile(join(directory, name), 'utf8').catch((error: unknown) => {
        if (isMissing(error)) return '';
        throw error;
      });
      files.push({ job, name: name.replace(/\.monit$/, ''), text });
    }
  }
  return files;
}

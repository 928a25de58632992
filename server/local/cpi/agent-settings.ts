import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod/mini';
import type { CpiConfig } from './config';
import { vcapMountPoint, type Namespace } from './processes';
import type { AgentSpec } from './records';
import { vmDirectory, simulatedPath } from './records';
import { readJson, writeJson } from './state';

/** The settings that an agent boots with, as the CPI writes them (cloudfoundry/bosh-agent settings/settings.go). */

const settingsSchema = z.looseObject({
  agent_id: z.string(),
  disks: z.looseObject({ persistent: z.record(z.string(), z.unknown()) }),
});

export interface AgentFiles {
  agentId: string;
  cid: string;
  networks: Record<string, unknown>;
  env: Record<string, unknown>;
}

/** Builds the settings: the env goes through untouched, since its NATS URLs and blobstore win in the agent. */
export function buildSettings(config: CpiConfig, vm: AgentFiles): z.infer<typeof settingsSchema> {
  return {
    agent_id: vm.agentId,
    vm: { name: vm.cid },
    mbus: config.nats_urls[0],
    ntp: config.ntp,
    blobstore: config.agent.blobstore,
    disks: { system: '', ephemeral: '', persistent: {}, raw_ephemeral: [] },
    networks: vm.networks,
    env: withUrls(vm.env, config.nats_urls),
  };
}

/** An env that names no NATS URLs gets all of the configuration's: one URL alone would tie the VM to one server. */
function withUrls(env: Record<string, unknown>, urls: string[]): Record<string, unknown> {
  const loose = z.looseObject({});
  const bosh = z.safeParse(loose, env.bosh);
  const mbus = z.safeParse(loose, bosh.data?.mbus);
  if (urls.length < 2 || Array.isArray(mbus.data?.urls)) return env;
  return { ...env, bosh: { ...bosh.data, mbus: { ...mbus.data, urls } } };
}

/** Base directory as the agent sees it. */
export function baseDirectory(vmDir: string, namespace: Namespace): string {
  return namespace === 'none' ? join(vmDir, 'vcap') : vcapMountPoint;
}

/** Writes settings and agent configuration below the VM's directory. */
export function writeAgentFiles(input: { config: CpiConfig; vm: AgentFiles; namespace: Namespace; agent: AgentSpec['agent'] }): void {
  const { config, vm, namespace } = input;
  const directory = vmDirectory(config.state_dir, vm.cid);
  if (input.agent === 'simulated') {
    writeJson(simulatedPath(config.state_dir, vm.cid), buildSettings(config, vm), 0o600);
    return;
  }
  const base = baseDirectory(directory, namespace);
  mkdirSync(join(directory, 'vcap', 'bosh'), { recursive: true });
  mkdirSync(join(directory, 'vcap', 'root_dir', 'etc', 'logrotate.d'), { recursive: true });
  writeJson(settingsPath(config.state_dir, vm.cid), buildSettings(config, vm), 0o600);
  writeJson(join(directory, 'vcap', 'agent.json'), {
    Infrastructure: { Settings: { Sources: [{ Type: 'File', SettingsPath: join(base, 'bosh', 'env.json') }] } },
    HeartbeatIntervalMs: config.agent.heartbeat_interval_ms,
  });
}

/** The agent's command line for a stemcell's agent. */
export function agentCommand(input: { config: CpiConfig; spec: AgentSpec; stemcellDir: string; base: string }): string[] {
  const { config, spec, base } = input;
  const agentConfig = join(base, 'agent.json');
  if (spec.agent === 'simulated') return [];
  if (spec.agent === 'exec') {
    return [join(input.stemcellDir, 'image', spec.path), '-b', base, ...(spec.args ?? ['-P', 'dummy', '-M', 'dummy']), '-C', agentConfig];
  }
  const [program, ...rest] = config.agent_program;
  return [program === 'node' || program === undefined ? process.execPath : program, ...rest, '-b', base, '-C', agentConfig];
}

function settingsPath(stateDir: string, cid: string): string {
  return join(vmDirectory(stateDir, cid), 'vcap', 'bosh', 'env.json');
}

/** Changes the persistent disks in a VM's settings; the caller holds the VM's lock. */
export function changePersistentDisks(stateDir: string, cid: string, change: (persistent: Record<string, unknown>) => Record<string, unknown>): void {
  for (const path of [settingsPath(stateDir, cid), simulatedPath(stateDir, cid)]) {
    const settings = readJson(path, settingsSchema);
    if (settings === undefined) continue;
    writeJson(path, { ...settings, disks: { ...settings.disks, persistent: change(settings.disks.persistent) } }, 0o600);
  }
}

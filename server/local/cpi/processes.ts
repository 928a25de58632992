import { spawn, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, openSync, closeSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { exactEnvironment } from '../agent/environment';
import { hasEnvironment, isAlive, listPids, mountNamespace, readMounts, readStat } from '../agent/proc';
import { CpiError, cloudError } from './errors';
import { superviseScript, vmMarker } from './supervise-script';

/** How a VM is kept apart: mount namespace as root, mount namespace inside a user namespace, or not at all. */
export type Namespace = 'root' | 'user' | 'none';

/** The mount point of a VM's base directory, as stemcells have it. */
export const vcapMountPoint = '/var/vcap';

const minimalPath = '/usr/sbin:/usr/bin:/sbin:/bin';
const unshareArguments: Record<Exclude<Namespace, 'none'>, string[]> = {
  root: ['-m', '--'],
  user: ['-U', '-m', '--map-root-user', '--'],
};

/**
 * Tries which kind of namespace this process may make, by really mounting (about 10 ms).
 * Throws a CloudError that says what to change when neither is permitted.
 */
export function probeNamespace(stateDir: string): Exclude<Namespace, 'none'> {
  mkdirSync(stateDir, { recursive: true });
  const directory = mkdtempSync(join(stateDir, 'probe-'));
  try {
    mkdirSync(join(directory, 'vcap'));
    const script = writeScript(directory);
    const reasons: string[] = [];
    for (const kind of ['root', 'user'] as const) {
      const run = spawnSync('unshare', [...unshareArguments[kind], '/bin/bash', script, directory, kind, '--probe'], { encoding: 'utf8', timeout: 10_000 });
      if (run.status === 0) return kind;
      reasons.push(`${kind}: ${run.error?.message ?? run.stderr.trim().split('\n').at(-1) ?? `status ${run.status}`}`);
    }
    throw cloudError(
      `This machine does not let the local cloud make mount namespaces, which give each VM its own ${vcapMountPoint} (${reasons.join('; ')}). ` +
        'Run the director as root, allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1), or set "namespace": "none" in the CPI configuration.',
    );
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

export interface StartedProcess {
  pid: number;
  /** Start time in clock ticks after boot; undefined when the process was already gone. */
  startTicks: number | undefined;
}

/** Starts a VM's supervisor in its own session; it outlives this process. */
export function startSupervisor(vm: { cid: string; directory: string; namespace: Namespace; command: string[] }): StartedProcess {
  const script = writeScript(vm.directory);
  const supervisor = ['/bin/bash', script, vm.directory, vm.namespace, ...vm.command];
  const [program, args] = vm.namespace === 'none' ? ['/bin/bash', supervisor.slice(1)] : ['unshare', [...unshareArguments[vm.namespace], ...supervisor]];
  const tmp = join(vm.directory, 'tmp');
  mkdirSync(tmp, { recursive: true });
  const log = openSync(join(vm.directory, 'agent.log'), 'a', 0o600);
  try {
    const child = spawn(program, args, {
      cwd: vm.directory,
      env: exactEnvironment({ PATH: minimalPath, HOME: tmp, TMPDIR: tmp, [vmMarker]: vm.cid }),
      detached: true,
      stdio: ['ignore', log, log],
    });
    child.on('error', () => undefined);
    child.unref();
    if (child.pid === undefined) throw new CpiError('Bosh::Clouds::VMCreationFailed', `Could not start the VM's supervisor: the program ${program} is missing`);
    return { pid: child.pid, startTicks: readStat(child.pid)?.startTicks };
  } finally {
    closeSync(log);
  }
}

function writeScript(directory: string): string {
  const script = join(directory, 'supervise.sh');
  writeFileSync(script, superviseScript);
  chmodSync(script, 0o755);
  return script;
}

/**
 * Kills every process of a VM, jobs included, and returns when none is left.
 * They are found by what they cannot shed together: the process group of the supervisor, the marker in the environment,
 * and a mount namespace that shows this VM's directory as /var/vcap.
 */
export async function killVmProcesses(vm: { cid: string; group: StartedProcess | undefined }): Promise<void> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const pids = findVmProcesses(vm);
    if (pids.length === 0) return;
    for (const pid of pids) kill(pid);
    await new Promise((resolve) => {
      setTimeout(resolve, 10);
    });
  }
  throw cloudError(`Processes of VM '${vm.cid}' do not end: ${findVmProcesses(vm).join(', ')}`);
}

/** The live processes of a VM; see {@link killVmProcesses}. */
export function findVmProcesses(vm: { cid: string; group: StartedProcess | undefined }): number[] {
  const ownNamespace = mountNamespace('self');
  const belongs = new Map<string, boolean>();
  const inNamespace = (pid: number): boolean => {
    const namespace = mountNamespace(pid);
    if (namespace === undefined || namespace === ownNamespace) return false;
    const known = belongs.get(namespace);
    if (known !== undefined) return known;
    const answer = readMounts(pid).some((mount) => mount.mountPoint === vcapMountPoint && mount.root.endsWith(`/${vm.cid}/vcap`));
    belongs.set(namespace, answer);
    return answer;
  };
  const groupLives = vm.group !== undefined && isAlive(vm.group.pid, vm.group.startTicks);
  return listPids().filter((pid) => {
    if (pid === process.pid || !isAlive(pid)) return false;
    if (groupLives && readStat(pid)?.group === vm.group?.pid) return true;
    return hasEnvironment(pid, `${vmMarker}=${vm.cid}`) || inNamespace(pid);
  });
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

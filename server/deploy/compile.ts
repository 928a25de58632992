import { randomUUID } from 'node:crypto';
import type { Agent, CompiledPackage, PackageToCompile } from '../agents/agent';
import { code, DirectorError } from '../core/errors';
import { instanceName } from '../instances/instance';
import { orphanVm } from '../instances/orphan-vm-store';
import type { CompiledBuild, PackageRequirement, Plan, RequirementKey } from '../plan/types';
import { aliasesOf } from '../cpi/configured';
import { createCompiledPackage, findCompiledPackage, nextBuild } from '../releases/store';
import type { TaskContext } from '../tasks/context';
import { isInterruption } from '../tasks/interruption';
import { mapPool } from '../core/concurrency';
import { withWorkerNetworks, type WorkerNetworks } from './compilation-network';
import type { DeployDeps } from './ports';
import { createInstances, deleteInstanceRecord, listRecordedInstances, releaseEarlierLocks, type InstanceRow } from './store';
import type { DeploymentVariables } from './variables';
import { calculateResources } from './vm-resources';
import { askState, createVm, deleteVm, writeVmMetadata, type DoomedVm, type VmOrder } from './vm-steps';
import { stemcellIn, type CpiStemcell } from '../plan/stemcells';

/**
 * Compiles what the plan's groups need and nobody has compiled: ready packages (all dependencies compiled) are handed to
 * at most `workers` VMs; a finished one unblocks its dependents. Two deploys that need the same package share one compile.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/stages/package_compile_stage.rb.
 */
export async function compilePackages(ctx: TaskContext, deps: DeployDeps, plan: Plan, { deploymentId, variables }: CompilationFor): Promise<Map<RequirementKey, CompiledBuild>> {
  const builds = new Map<RequirementKey, CompiledBuild>();
  for (const requirement of plan.packages) if (requirement.compiled) builds.set(requirement.key, requirement.compiled);
  const todo = plan.packages.filter((requirement) => !requirement.compiled);
  const preparing = ctx.stages.stage('Preparing package compilation', 1);
  await preparing.run('Finding packages to compile', async () => undefined);
  // The lock of a package whose lost compilation was recorded last would keep other deploys waiting until this task's end.
  if (ctx.attempt > 1) await ctx.write((tx) => releaseEarlierLocks(tx, ctx, { prefix: 'lock:compile:', keep: todo.map(lockName) }));
  if (todo.length === 0) {
    await deleteLeftoverWorkers(ctx, deps, plan, deploymentId);
    return builds;
  }
  const pool = new WorkerVms(ctx, deps, plan, { deploymentId, variables });
  try {
    await pool.adopt();
    await compileInOrder(ctx, deps, { plan, todo, builds, pool });
  } catch (error) {
    // Whoever goes on with the task goes on with the compilations that run.
    if (!isInterruption(error)) await pool.deleteAll().catch((failure: unknown) => ctx.log.warn(`Compilation VMs are left: ${failure instanceof Error ? failure.message : String(failure)}`));
    throw error;
  }
  await pool.deleteAll();
  return builds;
}

/** For whom packages are compiled. */
export interface CompilationFor {
  deploymentId: number;
  /** Of the placeholders in the cloud config's compilation. */
  variables: Pick<DeploymentVariables, 'own'>;
}

function lockName({ package: pkg, stemcell }: PackageRequirement): string {
  return `lock:compile:${pkg.id}:${stemcell.os}/${stemcell.version}`;
}

interface Compilation {
  plan: Plan;
  todo: readonly PackageRequirement[];
  builds: Map<RequirementKey, CompiledBuild>;
  pool: WorkerVms;
}

async function compileInOrder(ctx: TaskContext, deps: DeployDeps, { plan, todo, builds, pool }: Compilation): Promise<void> {
  const stage = ctx.stages.stage('Compiling packages', todo.length);
  const waiting = new Set(todo);
  const running = new Set<Promise<void>>();
  let failed = false;
  let failure: unknown;
  const startReady = () => {
    for (const requirement of waiting) {
      if (failed || running.size >= plan.compilation.workers) return;
      if (!requirement.dependencies.every((key) => builds.has(key))) continue;
      waiting.delete(requirement);
      const job = stage
        .run(`${requirement.package.name}/${requirement.package.version}`, () => compileOne(ctx, deps, { requirement, builds, pool }))
        .then((build) => void builds.set(requirement.key, build))
        .catch((error: unknown) => {
          if (!failed) failure = error;
          failed = true;
        })
        .finally(() => running.delete(job));
      running.add(job);
    }
  };
  for (startReady(); running.size > 0; startReady()) await Promise.race(running);
  if (failed) throw failure;
  if (waiting.size > 0) throw new DirectorError(code.generic, `Packages cannot be compiled, because their dependencies are missing: ${[...waiting].map((one) => one.package.name).join(', ')}`);
}

interface OneCompilation {
  requirement: PackageRequirement;
  builds: ReadonlyMap<RequirementKey, CompiledBuild>;
  pool: WorkerVms;
}

/** How long a deploy waits for another one that compiles the same package, ms. */
const sharedCompileWaitMs = 900_000;

async function compileOne(ctx: TaskContext, deps: DeployDeps, { requirement, builds, pool }: OneCompilation): Promise<CompiledBuild> {
  const { package: pkg, stemcell } = requirement;
  const unlock = await ctx.lock(lockName(requirement), sharedCompileWaitMs);
  try {
    const known = await findCompiledPackage(deps.db, { packageId: pkg.id, stemcellOs: stemcell.os, stemcellVersion: stemcell.version, dependencyKey: requirement.dependencyKey });
    if (known) return known;
    const build = await nextBuild(deps.db, { packageId: pkg.id, stemcellOs: stemcell.os, stemcellVersion: stemcell.version });
    const result = await pool.compile(requirement, build, builds);
    // Recorded with the id that was promised to the agent; a second attempt that finds the row uses it.
    return await ctx.write((tx) =>
      createCompiledPackage(tx, {
        packageId: pkg.id, stemcellOs: stemcell.os, stemcellVersion: stemcell.version, dependencyKey: requirement.dependencyKey, build, blobstoreId: result.blobstoreId, sha1: result.sha1,
      }),
    );
  } finally {
    await unlock().catch(() => undefined);
  }
}

interface Worker {
  instanceId: number;
  uuid: string;
  vmId: number;
  cid: string;
  agentId: string;
  cpi: string;
  apiVersion: number | null;
  stemcellCid: string;
}

/** What a later attempt needs to go on with a running compilation. */
interface RememberedWork {
  agentId: string;
  /** Where the result goes when the agent uploads it to a URL. */
  blobstoreId: string;
}

/** Life of signed URLs, s. */
const signedForS = 86_400;

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** The compilation VMs of one deploy: made when needed, reused for the same stemcell if the cloud config says so, all deleted at the end. */
class WorkerVms {
  readonly #ctx: TaskContext;
  readonly #deps: DeployDeps;
  readonly #plan: Plan;
  readonly #deploymentId: number;
  readonly #variables: CompilationFor['variables'];
  #networks: WorkerNetworks;
  #idle: Worker[] = [];
  readonly #all = new Set<Worker>();

  constructor(ctx: TaskContext, deps: DeployDeps, plan: Plan, { deploymentId, variables }: CompilationFor) {
    this.#ctx = ctx;
    this.#deps = deps;
    this.#plan = plan;
    this.#deploymentId = deploymentId;
    this.#variables = variables;
    this.#networks = withWorkerNetworks(plan.compilation);
  }

  /** Takes over the VMs that an earlier attempt left running, so that their compilations go on. */
  async adopt(): Promise<void> {
    for (const { instance, vms } of await listRecordedInstances(this.#deps.db, this.#deploymentId)) {
      if (!instance.compilation) continue;
      const vm = vms.find((candidate) => candidate.state === 'created' && candidate.cid !== null && candidate.permanentNatsCredentials);
      const alive = vm !== undefined && (await askState(this.#ctx, this.#deps, { id: vm.agentId, name: label(instance) }, 5_000)) !== undefined;
      const stemcellCid = stemcellOf(instance);
      if (!vm || vm.cid === null || !alive || stemcellCid === undefined || !aliasesOf(this.#plan.cpis, this.#plan.compilation.cpi).includes(vm.cpi)) {
        await disposeOf(this.#ctx, this.#deps, { plan: this.#plan, instance, vms });
        continue;
      }
      const worker: Worker = { instanceId: instance.id, uuid: instance.uuid, vmId: vm.id, cid: vm.cid, agentId: vm.agentId, cpi: vm.cpi, apiVersion: vm.stemcellApiVersion, stemcellCid };
      this.#idle.push(worker);
      this.#all.add(worker);
    }
  }

  async compile(requirement: PackageRequirement, build: number, builds: ReadonlyMap<RequirementKey, CompiledBuild>): Promise<{ blobstoreId: string; sha1: string }> {
    const { package: pkg } = requirement;
    const stemcell = stemcellIn(requirement.stemcell, this.#plan.compilation.cpi, this.#plan.cpis);
    const stepKey = `compile:${requirement.key}`;
    const remembered = this.#ctx.remembered(`${stepKey}:worker`) as RememberedWork | undefined;
    const worker = await this.#worker(stemcell, remembered);
    const work: RememberedWork = remembered?.agentId === worker.agentId ? remembered : { agentId: worker.agentId, blobstoreId: randomUUID() };
    await this.#ctx.remember(`${stepKey}:worker`, work);
    if (pkg.blobstoreId === null || pkg.sha1 === null) throw new DirectorError(code.packageMissingSourceCode, `Package '${pkg.name}/${pkg.version}' has no source code to compile: upload the release with its sources`);
    const { deployment, tags } = this.#plan;
    await writeVmMetadata(this.#ctx, this.#deps, { cid: worker.cid, cpi: worker.cpi, deployment, tags: { ...tags, compiling: pkg.name }, metadata: identityOf(worker.uuid) });
    const agent = this.#deps.agents.agentFor({ id: worker.agentId, name: `compilation-${worker.uuid}/${worker.uuid} (0)` }, this.#ctx);
    const source = { blobstoreId: pkg.blobstoreId, digest: pkg.sha1, name: pkg.name, version: `${pkg.version}.${build}`, dependencies: this.#dependencies(requirement, builds) };
    const compiled = this.#deps.blobstore.signsUrls && (stemcell.apiVersion ?? 1) >= 3 ? await this.#compileWithSignedUrls(agent, source, work.blobstoreId) : await agent.compilePackage(source);
    const blobstoreId = compiled.blobstore_id ?? '';
    if (!uuidPattern.test(blobstoreId)) throw new DirectorError(code.packageCompilationInvalidTaskBlobstoreId, `The agent answered the compilation of '${pkg.name}' with the blob id '${blobstoreId}', which is not a UUID`);
    await this.#ctx.remember(`${stepKey}:worker`, undefined);
    if (this.#plan.compilation.reuseVms) this.#idle.push(worker);
    else await this.#delete(worker);
    return { blobstoreId, sha1: compiled.sha1 };
  }

  /** The agent gets URLs instead of credentials; the id of the compiled blob was chosen by the director. */
  async #compileWithSignedUrls(agent: Agent, source: PackageToCompile, blobstoreId: string): Promise<CompiledPackage> {
    const { blobstore } = this.#deps;
    const { blobstoreId: sourceId, digest, name, version, dependencies } = source;
    const deps = Object.fromEntries(
      await Promise.all(Object.entries(dependencies).map(async ([key, dependency]) => [key, { ...dependency, package_get_signed_url: await blobstore.sign(dependency.blobstore_id, 'get', signedForS) }] as const)),
    );
    const { sha1 } = await agent.compilePackageWithSignedUrl({
      package_get_signed_url: await blobstore.sign(sourceId, 'get', signedForS), upload_signed_url: await blobstore.sign(blobstoreId, 'put', signedForS), digest, name, version, deps,
    });
    return { blobstore_id: blobstoreId, sha1 };
  }

  async deleteAll(): Promise<void> {
    const ctx = this.#ctx.uncancellable();
    const workers = (await listRecordedInstances(this.#deps.db, this.#deploymentId)).filter(({ instance }) => instance.compilation);
    await mapPool(workers, this.#deps.settings.maxThreads, ({ instance, vms }) => disposeOf(ctx, this.#deps, { plan: this.#plan, instance, vms }));
    this.#all.clear();
    this.#idle = [];
  }

  async #worker(stemcell: CpiStemcell, remembered: RememberedWork | undefined): Promise<Worker> {
    const fits = this.#idle.findIndex((worker) => (remembered ? worker.agentId === remembered.agentId : this.#plan.compilation.reuseVms && worker.stemcellCid === stemcell.cid));
    const [found] = fits >= 0 ? this.#idle.splice(fits, 1) : [];
    if (found) return found;
    const other = this.#all.size >= this.#plan.compilation.workers ? this.#idle.shift() : undefined;
    if (other) await this.#delete(other);
    return this.#create(stemcell);
  }

  async #create(stemcell: CpiStemcell): Promise<Worker> {
    const { compilation, deployment, tags } = this.#plan;
    const uuid = randomUUID();
    const group = `compilation-${uuid}`;
    const { instanceId, networks } = await this.#networks.reserve(this.#ctx, async (tx) => {
      const ids = await createInstances(tx, [{ uuid, deploymentId: this.#deploymentId, job: group, index: 0, az: compilation.az, bootstrap: false, compilation: true, spec: { stemcell: { cid: stemcell.cid } } }]);
      return ids.get(uuid) ?? 0;
    });
    const { cpi, vmResources: resources } = compilation;
    const [calculated] = resources ? await calculateResources(this.#ctx, this.#deps, [{ cpi, resources }]) : [];
    const cloudProperties = { ...compilation.cloudProperties, ...calculated?.cloudProperties };
    const vm = await createVm(this.#ctx, this.#deps, {
      instanceId, label: `${group}/${uuid} (0)`, deployment, group, az: compilation.az, cpi: compilation.cpi, stemcell: { cid: stemcell.cid, apiVersion: stemcell.apiVersion },
      cloudProperties, networks, env: compilation.env, tags, variables: this.#variables, metadata: identityOf(uuid),
    });
    await this.#deps.agents.agentFor(vm.agent, this.#ctx).apply({ deployment, job: { name: group, templates: [], template: '', version: '' }, index: 0, id: uuid, networks });
    const worker: Worker = { instanceId, uuid, vmId: vm.vmId, cid: vm.cid, agentId: vm.agent.id, cpi: compilation.cpi, apiVersion: stemcell.apiVersion, stemcellCid: stemcell.cid };
    this.#all.add(worker);
    return worker;
  }

  async #delete(worker: Worker): Promise<void> {
    this.#all.delete(worker);
    const { instanceId: id, uuid, vmId, cid, cpi, apiVersion } = worker;
    await disposeOf(this.#ctx, this.#deps, { plan: this.#plan, instance: { id, uuid, job: `compilation-${uuid}` }, vms: [{ id: vmId, cid, cpi, stemcellApiVersion: apiVersion }] });
  }

  #dependencies(requirement: PackageRequirement, builds: ReadonlyMap<RequirementKey, CompiledBuild>): Record<string, { name: string; version: string; sha1: string; blobstore_id: string }> {
    const byKey = new Map(this.#plan.packages.map((one) => [one.key, one]));
    return Object.fromEntries(
      requirement.dependencies.map((key) => {
        const dependency = byKey.get(key);
        const build = builds.get(key);
        if (!dependency || !build) throw new Error(`dependency ${key} of ${requirement.key} is not compiled`);
        const { name, version } = dependency.package;
        return [name, { name, version: `${version}.${build.build}`, sha1: build.sha1, blobstore_id: build.blobstoreId }];
      }),
    );
  }
}

function identityOf(uuid: string): VmOrder['metadata'] {
  const group = `compilation-${uuid}`;
  return { id: uuid, job: group, instance_group: group, index: '0', name: `${group}/${uuid}` };
}

function label(instance: InstanceRow): string {
  return `${instance.job}/${instance.uuid} (${instance.index})`;
}

function stemcellOf(instance: InstanceRow): string | undefined {
  const stemcell = instance.spec?.stemcell;
  return typeof stemcell === 'object' && stemcell !== null && 'cid' in stemcell && typeof stemcell.cid === 'string' ? stemcell.cid : undefined;
}

interface SpentWorker {
  plan: Plan;
  instance: Pick<InstanceRow, 'id' | 'uuid' | 'job'>;
  vms: readonly DoomedVm[];
}

/** Deletes a compilation VM, or leaves that to the clean-up of orphaned VMs, which the deploy need not wait for. */
async function disposeOf(ctx: TaskContext, deps: DeployDeps, { plan, instance, vms }: SpentWorker): Promise<void> {
  const orphaned = plan.compilation.orphanWorkers ? vms.filter((vm) => vm.cid !== null) : [];
  for (const vm of vms) if (!orphaned.includes(vm)) await deleteVm(ctx, deps, vm);
  await ctx.write(async (tx) => {
    for (const vm of orphaned) await orphanVm(tx, vm.id, { deployment: plan.deployment, instance: instanceName({ group: instance.job, uuid: instance.uuid }) });
    await deleteInstanceRecord(tx, instance.id);
  });
}

/** Compilation VMs of an attempt that was lost after everything had been compiled. */
async function deleteLeftoverWorkers(ctx: TaskContext, deps: DeployDeps, plan: Plan, deploymentId: number): Promise<void> {
  for (const { instance, vms } of await listRecordedInstances(deps.db, deploymentId)) {
    if (instance.compilation) await disposeOf(ctx, deps, { plan, instance, vms });
  }
}

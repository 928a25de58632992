import { z } from 'zod';
import type { Database } from '../../db/client';
import { callerWithoutTask } from '../agents/agent';
import { requireAccess, teamsWith, type Principal } from '../auth/permissions';
import { code, DirectorError } from '../core/errors';
import { parseManifestYaml } from '../core/yaml';
import { diffUploaded } from '../deployments/diff-uploaded';
import { recordEvent } from '../events/store';
import { previewDeploy } from '../deploy/preview';
import type { TrpcDeps } from './context';
import { findDeployment, type DeploymentRow } from '../deploy/store';
import { deployFlags, requestOf, type DeployFlags } from '../task-types/deployment-payloads';
import { deploymentName, orderDeploy } from '../task-types/order-deploy';
import { enqueueTask } from '../tasks/queue';
import { listLocks } from '../tasks/store';
import { deployPreview, viewPlan, type DeployPreview } from './deploy-preview';
import { router, teamProcedure } from './trpc';

const amount = z.string().regex(/^\d{1,6}%?$/, 'give a number or a percentage such as 20%').optional();

const upload = z.object({
  /** The deployment that the manifest is meant for; refused when it names another one. */
  deployment: z.string().optional(),
  /** YAML. */
  manifest: z.string().max(8 * 1024 * 1024),
  flags: deployFlags.extend({ canaries: amount, maxInFlight: amount, recreateVmsCreatedBefore: z.iso.datetime({ offset: true }).optional() }).partial().default({}),
});

/** Looking at what a deploy would do, and starting it. Both are POSTs, since manifests are long. */
export const deploysRouter = router({
  /** Changes nothing and waits for nobody's lock. Its rights are those of deploying; what is wrong has BOSH's codes. */
  preview: teamProcedure
    .input(upload)
    .output(deployPreview)
    .mutation(({ ctx, input, signal }) => preview({ ...ctx.deps.preview, principal: ctx.principal, directorUuid: ctx.deps.director.uuid }, input, signal ?? new AbortController().signal)),

  /** Enqueues the deploy; `context` of a preview makes it use the configs that were previewed. */
  start: teamProcedure
    .input(upload.extend({ context: z.string().optional() }))
    .output(z.object({ taskId: z.int(), deployment: z.string() }))
    .mutation(async ({ ctx, input }) => {
      const name = nameOf(input);
      const { principal } = ctx;
      const taskId = await ctx.deps.connections.db.transaction(async (tx) => {
        const { event, ...task } = await orderDeploy(tx, { principal, directorUuid: ctx.deps.director.uuid, manifestText: input.manifest, flags: allFlags(input.flags), context: input.context });
        const { id } = await enqueueTask(tx, { ...task, user: principal.username });
        await recordEvent(tx, { ...event, deployment: name, user: principal.username, taskId: id });
        return id;
      });
      return { taskId, deployment: name };
    }),
});

function nameOf({ deployment, manifest }: z.infer<typeof upload>): string {
  const name = deploymentName(parseManifestYaml(manifest));
  if (deployment === undefined || deployment === name) return name;
  throw new DirectorError(code.validationInvalidValue, `The manifest is for the deployment '${name}', not for '${deployment}': change its 'name', or deploy it there`);
}

function allFlags(flags: Partial<DeployFlags>): DeployFlags {
  return { recreate: false, recreatePersistentDisks: false, fix: false, dryRun: false, forceLatestVariables: false, ...flags };
}

type Asker = TrpcDeps['preview'] & { principal: Principal; directorUuid: string };

async function preview(deps: Asker, input: z.infer<typeof upload>, signal: AbortSignal): Promise<DeployPreview> {
  const { db, principal, directorUuid } = deps;
  const name = nameOf(input);
  const found = await findDeployment(db, name);
  requireAccess(principal, found ? { permission: 'dep:admin', directorUuid, teams: found.teams } : { permission: 'create_deployment', directorUuid });
  const deployment = found ?? newDeployment(name, teamsWith(principal, 'admin'));
  const { diff, configIds } = await diffUploaded(db, { name, text: input.manifest, deployment, teams: deployment.teams, redact: true });
  const caller = { ...callerWithoutTask(signal), scope: `preview-${crypto.randomUUID()}`, checkpoint: async () => signal.throwIfAborted() };
  const plan = await previewDeploy(caller, deps, { deployment, manifest: parseManifestYaml(input.manifest), configIds, request: requestOf(allFlags(input.flags)) });
  return {
    ...viewPlan(plan), diff, context: JSON.stringify({ cloud_config_ids: configIds.cloud, runtime_config_ids: configIds.runtime }),
    busy: await lockHolder(db, name),
  };
}

/** As it would be recorded with its first deploy. */
function newDeployment(name: string, teams: string[]): DeploymentRow {
  return { id: 0, name, teams, manifest: null, manifestText: null, tags: {} };
}

async function lockHolder(db: Database, deployment: string): Promise<DeployPreview['busy']> {
  const lock = (await listLocks(db)).find((one) => one.name === `lock:deployment:${deployment}`);
  return lock && { taskId: lock.taskId, description: lock.description, since: lock.acquiredAt };
}

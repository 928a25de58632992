import { z } from 'zod';
import { code } from '../core/errors';
import { dismissLeak, leakText, listPossibleLeaks } from '../disks/leak-store';
import { listDiskRows, listOrphanRows, orderDeletion } from './disk-store';
import { findInstanceOwner } from './monitor-store';
import { adminProcedure, readProcedure, refuse, router, teamProcedure } from './trpc';

const disk = z.object({
  cid: z.string(),
  /** Empty for the managed disk. */
  name: z.string(),
  /** MB */
  size: z.int(),
  deployment: z.string(),
  group: z.string(),
  index: z.int(),
  uuid: z.string(),
  az: z.string().optional(),
  cpi: z.string(),
  active: z.boolean(),
  attachment: z.enum(['attached', 'changing', 'detached']),
  vmCid: z.string().optional(),
  snapshots: z.int(),
  createdAt: z.date(),
});

const orphan = z.object({
  cid: z.string(),
  size: z.int(),
  deployment: z.string(),
  /** `<group>/<uuid>` */
  instance: z.string(),
  az: z.string().optional(),
  cpi: z.string(),
  deleting: z.boolean(),
  snapshots: z.int(),
  orphanedAt: z.date(),
});

/** Persistent disks: those of instances, orphans, and what may be left in the cloud without any record. */
export const disksRouter = router({
  list: readProcedure
    .output(z.object({ disks: z.array(disk), orphans: z.array(orphan), leaks: z.array(z.object({ id: z.int(), kind: z.enum(['disk', 'snapshot']), deployment: z.string(), text: z.string(), noticedAt: z.date() })) }))
    .query(async ({ ctx }) => {
      const { db } = ctx.deps.connections;
      const [disks, orphans, leaks] = await Promise.all([listDiskRows(db), listOrphanRows(db), listPossibleLeaks(db)]);
      return { disks, orphans, leaks: leaks.map((leak) => ({ id: leak.id, kind: leak.kind, deployment: leak.deploymentName, text: leakText(leak), noticedAt: leak.noticedAt })) };
    }),

  /** Of one instance. */
  ofInstance: teamProcedure
    .input(z.object({ uuid: z.uuid() }))
    .output(z.array(disk))
    .query(async ({ ctx, input }) => {
      const { db } = ctx.deps.connections;
      const owner = await findInstanceOwner(db, input.uuid);
      if (!owner) return refuse(code.instanceNotFound, `Instance '${input.uuid}' doesn't exist`);
      ctx.may.require('dep:read', owner.teams);
      return listDiskRows(db, input);
    }),

  /** Makes the task that deletes an orphan and its snapshots. */
  deleteOrphan: adminProcedure
    .input(z.object({ cid: z.string().min(1) }))
    .output(z.object({ taskId: z.int() }))
    .mutation(async ({ ctx, input }) => ({ taskId: await orderDeletion(ctx.deps.connections.db, input.cid, ctx.principal.username) })),

  /** Takes a possible leak from the list: somebody has looked for it in the cloud. */
  dismissLeak: adminProcedure
    .input(z.object({ id: z.int() }))
    .output(z.object({ dismissed: z.literal(true) }))
    .mutation(async ({ ctx, input }) => {
      await dismissLeak(ctx.deps.connections.db, input.id);
      return { dismissed: true as const };
    }),
});

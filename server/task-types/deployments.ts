import { z } from 'zod';
import { deleteDeployment } from '../deploy/delete-deployment';
import { deploy } from '../deploy/deploy';
import type { DeployDeps } from '../deploy/ports';
import { sweepAbandonedVms, sweepType } from '../deploy/sweep';
import { deleteDeploymentPayload, requestOf, updateDeploymentPayload } from './deployment-payloads';
import type { TaskType } from './task-type';

export const updateDeployment: TaskType<z.infer<typeof updateDeploymentPayload>, DeployDeps> = {
  type: 'update_deployment',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: updateDeploymentPayload,
  async perform(ctx, deps, payload) {
    const { deployment, manifestText, configIds, ...flags } = payload;
    await deploy(ctx, deps, { deployment, manifestText, configIds, request: requestOf(flags) });
    return `/deployments/${deployment}`;
  },
};

export const deleteDeploymentTask: TaskType<z.infer<typeof deleteDeploymentPayload>, DeployDeps> = {
  type: 'delete_deployment',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: deleteDeploymentPayload,
  async perform(ctx, deps, payload) {
    await deleteDeployment(ctx, deps, payload);
    return `/deployments/${payload.deployment}`;
  },
};

export const sweepAbandonedVmsTask: TaskType<Record<string, never>, DeployDeps> = {
  type: sweepType,
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: z.strictObject({}),
  perform: (ctx, deps) => sweepAbandonedVms(ctx, deps),
};

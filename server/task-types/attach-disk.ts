import { attachDiskToInstance } from '../deploy/attach-disk';
import type { DeployDeps } from '../deploy/ports';
import { attachDiskPayload, type AttachDiskPayload } from './disk-payloads';
import type { TaskType } from './task-type';

export const attachDiskTask: TaskType<AttachDiskPayload, DeployDeps> = {
  type: 'attach_disk',
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: attachDiskPayload,
  async perform(ctx, deps, payload) {
    await attachDiskToInstance(ctx, deps, payload);
    return `attached disk '${payload.diskCid}' to '${payload.group}/${payload.instance}' in deployment '${payload.deployment}'`;
  },
};

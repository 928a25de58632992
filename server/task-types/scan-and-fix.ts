import type { ProblemDeps } from '../problems/ports';
import { scanAndFixPayload, scanAndFixType, type ScanAndFixPayload } from '../problems/request';
import { scanAndFix } from '../problems/scan-and-fix';
import type { TaskType } from './task-type';

export const scanAndFixTaskType: TaskType<ScanAndFixPayload, ProblemDeps> = {
  type: scanAndFixType,
  lane: 'normal',
  onNodeLoss: 'converge',
  payload: scanAndFixPayload,
  perform: (ctx, deps, payload) => scanAndFix(ctx, deps, payload),
};

import { z } from 'zod';
import { instanceLabel } from '../instances/instance';

/**
 * What cloud check can find wrong. Types, texts and resolutions: cloudfoundry/bosh
 * src/bosh-director/lib/bosh/director/problem_handlers/.
 */

/** `missing_vm`: the cloud has no VM for the instance. `unresponsive_agent`: it has, and the agent in it does not answer. */
export const problemTypes = ['missing_vm', 'unresponsive_agent'] as const;
export type ProblemType = (typeof problemTypes)[number];

/** A problem as a scan finds it, and as a task remembers it for the attempt that goes on. */
export const problemSchema = z.strictObject({
  /** Counts within the scan, from 1. */
  id: z.int(),
  type: z.enum(problemTypes),
  instance: z.strictObject({
    /** Row of instances. */
    id: z.int(),
    uuid: z.string(),
    group: z.string(),
    index: z.int(),
  }),
  /** The VM that was looked at; null when none is recorded. */
  vm: z.strictObject({ agentId: z.string(), cid: z.string() }).nullable(),
});

export type Problem = z.infer<typeof problemSchema>;

/** As operators read it. */
export function describeProblem({ type, instance, vm }: Problem): string {
  const subject = `VM for '${instanceLabel(instance)}'${vm ? ` with cloud ID '${vm.cid}'` : ''}`;
  switch (type) {
    case 'missing_vm': return `${subject} missing.`;
    case 'unresponsive_agent': return `${subject} is not responding.`;
  }
}

import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { isMissing } from '../agent/files';

/**
 * How simulated agents misbehave, `<state>/simulator.json`, read again when it changes:
 * `{"latency_ms":20,"jitter_ms":10,"methods":{"compile_package":{"latency_ms":500}},
 *   "agents":{"<agent id>":{"silent":true},"<agent id>":{"job_state":"failing","methods":{"start":{"fail":"no"}}}}}`.
 */
const methodSchema = z.strictObject({
  /** How long the action takes, ms; replaces the general latency. */
  latency_ms: z.number().min(0).optional(),
  /** The action fails with this message. */
  fail: z.string().optional(),
  /** The request is taken and never answered. */
  drop: z.boolean().optional(),
});
const methodsSchema = z.record(z.string(), methodSchema).default({});

const faultsSchema = z.strictObject({
  latency_ms: z.number().min(0).default(0),
  /** Added at random, up to this many ms. */
  jitter_ms: z.number().min(0).default(0),
  methods: methodsSchema,
  agents: z
    .record(
      z.string(),
      z.strictObject({
        /** Neither answers nor heartbeats, as a lost VM. */
        silent: z.boolean().default(false),
        /** What it says of its jobs while they are started. */
        job_state: z.enum(['running', 'failing', 'starting', 'stopped']).optional(),
        methods: methodsSchema,
      }),
    )
    .default({}),
});

export type Faults = z.infer<typeof faultsSchema>;

export const noFaults: Faults = faultsSchema.parse({});

/** Reads the file; no faults when there is none. */
export async function readFaults(path: string): Promise<Faults> {
  try {
    return faultsSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  } catch (error) {
    if (isMissing(error)) return noFaults;
    throw error;
  }
}

/** What happens to one request: its latency (ms), and whether it is dropped or fails. */
export function faultOf(faults: Faults, agentId: string, method: string): { latencyMs: number; drop: boolean; fail: string | undefined } {
  const own = faults.agents[agentId]?.methods[method];
  const general = faults.methods[method];
  const latency = own?.latency_ms ?? general?.latency_ms ?? faults.latency_ms;
  return {
    latencyMs: latency + Math.random() * faults.jitter_ms,
    drop: faults.agents[agentId]?.silent === true || (own?.drop ?? general?.drop ?? false),
    fail: own?.fail ?? general?.fail,
  };
}

import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { AgentSwarm, swarmAgentSchema, type SwarmStats } from './swarm';

/** What the file of `--swarm` says; see SwarmOptions. */
export const swarmFileSchema = z.strictObject({
  urls: z.array(z.string()),
  ca: z.string(),
  certificate: z.string(),
  private_key: z.string(),
  connections: z.int().min(1).optional(),
  heartbeats_per_second: z.number().min(0).optional(),
  agents: z.array(swarmAgentSchema),
});
export type SwarmFile = z.infer<typeof swarmFileSchema>;

/** One line of standard input, as JSON. Every line is answered with the numbers so far, after it has taken effect. */
export const swarmOrderSchema = z.union([
  z.strictObject({ silent: z.array(z.string()), on: z.boolean().default(true) }),
  z.strictObject({ absent: z.array(z.string()), on: z.boolean().default(true) }),
  z.strictObject({ job_state: z.string(), of: z.array(z.string()) }),
  z.strictObject({ heartbeats_per_second: z.number().min(0) }),
  z.strictObject({ stats: z.literal(true) }),
]);
export type SwarmOrder = z.input<typeof swarmOrderSchema>;

/** The numbers, and what the process has used. */
export interface SwarmReport extends SwarmStats {
  /** s of processor time. */
  cpuS: number;
}

/** Speaks for the agents of a file, until standard input ends: nobody is left when the process that wanted them dies. */
export async function runSwarm(path: string): Promise<void> {
  const { private_key: privateKey, heartbeats_per_second: heartbeatsPerSecond = 0, connections = 4, ...rest } = swarmFileSchema.parse(JSON.parse(await readFile(path, 'utf8')));
  const swarm = new AgentSwarm({ ...rest, privateKey, heartbeatsPerSecond, connections });
  const lines = createInterface({ input: process.stdin });
  const report = () => process.stdout.write(`${JSON.stringify({ ...swarm.stats(), cpuS: cpuSeconds() } satisfies SwarmReport)}\n`);
  await swarm.start();
  report();
  for await (const line of lines) {
    await obey(swarm, swarmOrderSchema.parse(JSON.parse(line)));
    report();
  }
  await swarm.stop();
}

async function obey(swarm: AgentSwarm, order: z.output<typeof swarmOrderSchema>): Promise<void> {
  if ('silent' in order) swarm.setSilent(order.silent, order.on);
  else if ('absent' in order) await swarm.setAbsent(order.absent, order.on);
  else if ('job_state' in order) swarm.setJobState(order.of, order.job_state);
  else if ('heartbeats_per_second' in order) swarm.setHeartbeatRate(order.heartbeats_per_second);
}

function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

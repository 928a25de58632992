import type { DeployDeps } from '../deploy/ports';
import type { Bus } from '../nats/connection';

/** What finding and resolving problems needs; made in director.ts. */
export interface ProblemDeps extends DeployDeps {
  /** This node's connection to the agents: silence counts only while it holds. */
  bus: Pick<Bus, 'status'>;
}

import { agentsRouter } from './agents';
import { artifactsRouter } from './artifacts';
import { authRouter } from './auth';
import { busRouter } from './bus';
import { clusterRouter } from './cluster';
import { configsRouter } from './configs';
import { deploymentsRouter } from './deployments';
import { disksRouter } from './disks';
import { deploysRouter } from './deploys';
import { eventsRouter } from './events';
import { healthRouter } from './health';
import { instancesRouter } from './instances';
import { schedulesRouter } from './schedules';
import { tasksRouter } from './tasks';
import { variablesRouter } from './variables';
import { router } from './trpc';

/** Everything that the console and other typed clients can ask for. */
export const appRouter = router({
  auth: authRouter,
  cluster: clusterRouter,
  deployments: deploymentsRouter,
  deploys: deploysRouter,
  instances: instancesRouter,
  tasks: tasksRouter,
  artifacts: artifactsRouter,
  configs: configsRouter,
  events: eventsRouter,
  health: healthRouter,
  agents: agentsRouter,
  schedules: schedulesRouter,
  disks: disksRouter,
  bus: busRouter,
  variables: variablesRouter,
});

export type AppRouter = typeof appRouter;

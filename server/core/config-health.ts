import { z } from 'zod';
import { pluginsSchema } from './config-plugins';

const seconds = (fallback: number, text: string, min = 0.1) => z.number().min(min).max(86_400).default(fallback).describe(`${text}, seconds`);

/** Names and defaults: cloudfoundry/bosh jobs/health_monitor/spec, where that has them. */
export const healthMonitorSchema = z
  .strictObject({
    intervals: z
      .strictObject({
        agent_timeout: seconds(60, 'an agent that is silent for longer has timed out', 1),
        rogue_agent_alert: seconds(120, 'an agent that no deployment knows for longer is rogue', 1),
        analyze: seconds(0.5, 'how often the acting node looks at its agents'),
        poll_director: seconds(60, 'how often the records of deployments are read when nothing hints at a change', 1),
        probe_agents: z.number().min(0).max(86_400).default(300).describe('how often an agent that beats is asked whether it also answers, seconds; 0: never'),
        path_grace: seconds(300, 'how long agents of a lost NATS server have to find another one before they are judged', 1),
        log_stats: seconds(60, 'how often numbers are logged', 1),
      })
      .prefault({}),
    resurrector: z
      .strictObject({
        enabled: z.boolean().default(true).describe('recreate VMs that are missing or do not answer'),
        minimum_down_jobs: z.int().min(1).default(5).describe('meltdown: at least so many instances of the deployment are down'),
        percent_threshold: z.number().min(0).max(1).default(0.2).describe('meltdown: and they are at least this part of it'),
        time_threshold: seconds(600, 'how long an instance that was down counts', 1),
        auto_fix_stateful_nodes: z.boolean().default(true).describe('also instances with persistent disks'),
      })
      .prefault({}),
    http: z
      .strictObject({
        host: z.string().default('127.0.0.1').describe('address of the monitor\'s own endpoints (`/unresponsive_agents` and others), which ask for no login'),
        port: z.int().min(0).max(65535).default(25923).describe('0: no endpoints; `DIRECTORATE_HM_PORT` overrides it'),
      })
      .prefault({}),
    plugins: pluginsSchema,
  })
  .prefault({});

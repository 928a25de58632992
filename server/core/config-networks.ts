import { z } from 'zod';

/** Names and defaults: cloudfoundry/bosh jobs/director/spec (`director.networks`, `director.ignore_missing_gateway`). */
export const networksSchema = z
  .strictObject({
    enable_cpi_management: z.boolean().default(false).describe('networks of the cloud config with `managed: true` are made and deleted through the CPI'),
    ignore_missing_gateway: z.boolean().default(false).describe('subnets of manual networks may lack a gateway'),
    reserved_addresses: z.array(z.string()).default([]).describe("addresses that no VM gets beside those of the nodes' machines, e.g. the load balancer's; single ones or blocks"),
  })
  .prefault({});

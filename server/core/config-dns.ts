import { z } from 'zod';

/** Names and defaults: cloudfoundry/bosh jobs/director/spec (`director.local_dns`). */
export const localDnsSchema = z
  .strictObject({
    enabled: z.boolean().default(true).describe('tell agents the addresses of all instances'),
    domain: z.string().default('bosh').describe('top-level domain of the names'),
    include_index: z.boolean().default(false).describe('instances also have names by their index, beside those by their id'),
    use_dns_addresses: z.boolean().default(false).describe('links and `spec.address` have DNS names instead of IPs, where a deployment does not say it itself'),
    fan_out: z.int().min(1).max(10_000).default(500).describe('agents told at a time'),
  })
  .prefault({});

/**
 * Which CPIs there are and what they are called. Rules: cloudfoundry/bosh
 * src/bosh-director/lib/bosh/director/cloud_factory.rb, az_cloud_factory.rb and cpi_config/parsed_cpi_config.rb.
 */

/** A CPI of the CPI configs. */
export interface ConfiguredCpi {
  name: string;
  /** Names under which VMs, disks and stemcells of this CPI may be recorded: its own first, then those that it had before. */
  aliases: readonly string[];
  /** The executable. */
  execPath: string;
  /** Given to the CPI with every call; variables are still placeholders. */
  properties: Record<string, unknown>;
}

/** What tells CPIs apart. */
export type CpiNames = Pick<ConfiguredCpi, 'name' | 'aliases'>;

/** The CPI that has, or once had, the name. */
export function findCpi<C extends CpiNames>(cpis: readonly C[], name: string): C | undefined {
  return cpis.find((cpi) => cpi.aliases.includes(name));
}

/** Every CPI there is: those of the CPI configs, or without any (undefined) the director's own, of which the name is empty. */
export function allCpis(cpis: readonly CpiNames[] | undefined): readonly CpiNames[] {
  return cpis ?? [{ name: '', aliases: [''] }];
}

/** Names under which what belongs to a CPI may be recorded: the one it has now first. */
export function aliasesOf(cpis: readonly CpiNames[] | undefined, name: string): readonly string[] {
  return findCpi(allCpis(cpis), name)?.aliases ?? [name];
}

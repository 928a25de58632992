import type { CloudConfig } from '../configs/cloud-config';
import { code, DirectorError } from '../core/errors';
import { findCpi, type CpiNames } from '../cpi/configured';

/**
 * Which CPI an availability zone belongs to.
 * Rules and texts: cloudfoundry/bosh src/bosh-director/lib/bosh/director/az_cloud_factory.rb.
 */

/** What there is to choose from. */
export interface Clouds {
  azs: CloudConfig['azs'];
  /** Undefined without CPI configs. */
  cpis: readonly CpiNames[] | undefined;
}

/**
 * The name that the AZ's CPI has now; '', the director's own, for an instance without an AZ. Throws 550001 for an AZ that names no CPI
 * although there are CPI configs.
 */
export function cpiOfAz(az: string | null, { azs, cpis }: Clouds): string {
  if (az === null) return '';
  const name = azs.find((one) => one.name === az)?.cpi ?? '';
  if (name === '' && cpis === undefined) return '';
  if (name === '') throw new DirectorError(code.cpiNotFound, `AZ '${az}' must specify a CPI when CPI config is defined.`);
  const found = cpis && findCpi(cpis, name);
  if (found) return found.name;
  throw new DirectorError(code.generic, `Failed to load CPI for AZ '${az}': CPI '${name}' not found in cpi-config${cpis ? '' : ' (because cpi-config is not set)'}`);
}

import { code, DirectorError } from '../core/errors';
import { aliasesOf, type CpiNames } from '../cpi/configured';
import type { StemcellRecord } from './recorded';

/**
 * Stemcells, of which every CPI has an image of its own.
 * Rules and texts: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/stemcell.rb.
 */

/** A stemcell of the manifest, with its image in every CPI that has it. */
export interface PlannedStemcell {
  alias: string;
  /** Of its first image: asked for by operating system, it may have another name in every cloud. */
  name: string;
  os: string;
  version: string;
  /** Rows of stemcells. */
  images: readonly Pick<StemcellRecord, 'id' | 'name' | 'cpi' | 'cid' | 'apiVersion'>[];
}

/** A stemcell as one CPI has it. */
export interface CpiStemcell extends Omit<PlannedStemcell, 'images'> {
  /** Present name of the CPI; '' is the director's own. */
  cpi: string;
  /** Cloud id of the image. */
  cid: string;
  apiVersion: number | null;
}

/** The stemcell as a CPI has it, under its present name or an earlier one. Throws 50003 when it was not uploaded there. */
export function stemcellIn(stemcell: PlannedStemcell, cpi: string, cpis: readonly CpiNames[] | undefined): CpiStemcell {
  const { images, ...common } = stemcell;
  const aliases = cpi === '' ? [''] : aliasesOf(cpis, cpi);
  for (const alias of aliases) {
    const image = images.find((one) => one.cpi === alias);
    if (image) return { ...common, name: image.name, cid: image.cid, apiVersion: image.apiVersion, cpi };
  }
  throw new DirectorError(code.stemcellNotFound, `Required stemcell '${stemcell.name}/${stemcell.version}' not found for ${cpi === '' ? 'default cpi' : `cpi ${cpi}`}, please upload again`);
}

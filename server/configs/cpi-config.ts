import type { ConfiguredCpi } from '../cpi/configured';
import { DirectorError } from '../core/errors';
import { optionalField, requiredField } from '../core/fields';
import type { Hash } from '../core/yaml';
import { refusePlaceholders } from './parse';

/**
 * The CPIs of all CPI configs together, in their order; undefined when there are no configs: then there is only the director's own.
 * Throws 550000 for a name that is given twice, 40000 and 40001 for wrong and missing fields.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/cpi_config/cpi_manifest_parser.rb and cpi.rb.
 */
export function parseCpiConfigs(documents: readonly Hash[]): ConfiguredCpi[] | undefined {
  if (documents.length === 0) return undefined;
  const cpis = documents.flatMap((document) => requiredField(document, 'cpis', 'Array').map(parseCpi));
  const names = cpis.flatMap((cpi) => cpi.aliases);
  const repeated = names.find((name, i) => names.indexOf(name) !== i);
  if (repeated !== undefined) throw new DirectorError(550000, `Duplicate cpi name '${repeated}'`);
  return cpis;
}

function parseCpi(spec: unknown): ConfiguredCpi {
  const name = requiredField(spec, 'name', 'String');
  const type = requiredField(spec, 'type', 'String');
  const execPath = optionalField(spec, 'exec_path', 'String') ?? `/var/vcap/jobs/${type}_cpi/bin/cpi`;
  const earlier = (optionalField(spec, 'migrated_from', 'Array') ?? []).map((entry) => requiredField(entry, 'name', 'String'));
  refusePlaceholders([name, type, ...earlier], `names of cpi '${name}' in the cpi config`);
  return { name, aliases: [name, ...earlier], execPath, properties: optionalField(spec, 'properties', 'Hash') ?? {} };
}

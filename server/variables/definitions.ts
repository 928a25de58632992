import { code, DirectorError } from '../core/errors';
import { rubyClass, rubyInspect } from '../core/fields';
import { isHash, type Hash } from '../core/yaml';
import { generateModes, type GenerateMode } from './backend';

/**
 * Entries of `variables:` in manifests and runtime configs.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/deployment_plan/variables_parser.rb and links/links_parser.rb.
 */

export interface VariableDefinition {
  /** As written: relative or absolute. */
  name: string;
  type: string;
  options: Hash;
  /** CredHub's generation mode; undefined: the deployment's. */
  updateMode?: GenerateMode | undefined;
  /** When a new version is asked for. */
  strategy: 'on-deploy' | 'on-stemcell-change';
  /** Links whose addresses become names of a certificate. */
  consumes: readonly VariableLink[];
}

export interface VariableLink {
  as: 'alternative_name' | 'common_name';
  from: string;
  linkType: string;
  wildcard: boolean;
}

function invalid(message: string): DirectorError {
  return new DirectorError(560000, message);
}

/** Reads `variables`; nothing when the document has none. Throws 560000, or one error with a line for each wrong `consumes`. */
export function parseVariables(document: Hash): VariableDefinition[] {
  const list = document.variables;
  if (list === undefined || list === null) return [];
  if (!Array.isArray(list)) throw invalid(`Key 'variables' expects an array, but received '${rubyClass(list)}'`);
  const specs = list.map((spec: unknown): Hash => {
    if (isHash(spec)) return spec;
    throw invalid("All 'variables' elements should be Hashes");
  });
  const named = specs.map((spec) => ({ spec, ...nameAndType(spec) }));
  for (const { spec, name } of named) if (spec.consumes !== undefined && spec.consumes !== null && !isHash(spec.consumes)) throw invalid(`Consumes for variable '${name}' must be a Hash or nil`);
  const repeated = named.find(({ name }, i) => named.findIndex((other) => other.name === name) !== i);
  if (repeated) throw invalid(`Some of the variables have duplicate names, eg: '${repeated.name}'`);
  const errors: string[] = [];
  const definitions = named.map(({ spec, name, type }): VariableDefinition => ({ name, type, options: optionsOf(spec, name), updateMode: updateModeOf(spec, name), strategy: strategyOf(spec, name), consumes: consumesOf(spec, { name, type }, errors) }));
  if (errors.length > 0) throw new DirectorError(code.generic, errors.join('\n'));
  return definitions;
}

/** All definitions of a deployment: the manifest's, then those of each runtime config. Throws 190022 for a name given twice. */
export function joinVariables(lists: readonly (readonly VariableDefinition[])[]): VariableDefinition[] {
  const all = lists.flat();
  const repeated = all.find(({ name }, i) => all.findIndex((other) => other.name === name) !== i);
  if (repeated) throw new DirectorError(code.deploymentDuplicateVariableName, `Duplicate variable name '${repeated.name}'`);
  return all;
}

function nameAndType(spec: Hash): { name: string; type: string } {
  const { name, type } = spec;
  if (!('name' in spec)) throw invalid("At least one of the variables is missing the 'name' key; 'name' must be specified");
  if (typeof name !== 'string' || name.trim() === '') throw invalid("At least one of the variables has an empty 'name'; 'name' must not be empty or nil");
  if (!('type' in spec)) throw invalid(`Type for variable '${name}' is missing; 'type' must be specified`);
  if (type === null || type === undefined) throw invalid(`Type for variable '${name}' is nil; 'type' must not be nil`);
  if (typeof type !== 'string') throw invalid(`Type for variable '${name}' must be a String, but was '${rubyInspect(type)}'`);
  if (type.trim() === '') throw invalid(`Type for variable '${name}' is empty; 'type' must not be empty`);
  return { name, type };
}

function optionsOf({ options }: Hash, name: string): Hash {
  if (options === undefined || options === null || options === false) return {};
  if (isHash(options)) return options;
  throw invalid(`options of variable with name '${name}' is not a Hash`);
}

function updateModeOf({ update_mode: wanted }: Hash, name: string): GenerateMode | undefined {
  if (wanted === undefined || wanted === null) return undefined;
  if (typeof wanted !== 'string') throw invalid(`Update mode for variable '${name}' must be a String, but was '${rubyInspect(wanted)}'`);
  const mode = generateModes.find((known) => known === wanted);
  // Config servers refuse it too, when other variables have been generated already.
  if (mode === undefined) throw invalid(`Update mode for variable '${name}' must be one of ${generateModes.join(', ')}, but was '${wanted}'`);
  return mode;
}

function strategyOf({ update }: Hash, name: string): VariableDefinition['strategy'] {
  const strategy = isHash(update) ? update.strategy : undefined;
  if (strategy === undefined || strategy === null || strategy === 'on-deploy') return 'on-deploy';
  if (strategy === 'on-stemcell-change') return strategy;
  throw invalid(`Update strategy for variable '${name}' must be 'on-deploy' or 'on-stemcell-change', but was '${rubyInspect(strategy)}'`);
}

function consumesOf({ consumes }: Hash, { name, type }: { name: string; type: string }, errors: string[]): VariableLink[] {
  if (!isHash(consumes)) return [];
  return Object.entries(consumes).flatMap(([as, wish]): VariableLink[] => {
    if (type !== 'certificate') {
      errors.push(`Variable '${name}' can not define 'consumes' key for type '${type}'`);
      return [];
    }
    if (as !== 'alternative_name' && as !== 'common_name') {
      errors.push(`Consumer name '${as}' is not a valid consumer for variable '${name}'. Acceptable consumer types are: alternative_name, common_name`);
      return [];
    }
    const spec = isHash(wish) ? wish : {};
    const properties = isHash(spec.properties) ? spec.properties : {};
    return [{ as, from: typeof spec.from === 'string' ? spec.from : as, linkType: typeof spec.link_type === 'string' ? spec.link_type : 'address', wildcard: properties.wildcard === true }];
  });
}

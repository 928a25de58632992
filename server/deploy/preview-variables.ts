import { parseYaml, isHash, type Hash } from '../core/yaml';
import type { SecretTexts } from '../tasks/secret-texts';
import { absoluteName } from '../variables/placeholders';
import { readConfigs, type DeploymentRow } from './store';
import { variablesOf, type DeploymentVariables, type VariableDeps } from './variables';

/** Whose variables are looked at. */
export interface PreviewOrder {
  deployment: Pick<DeploymentRow, 'name'>;
  manifest: Hash;
  configIds: { runtime: readonly number[] };
}

/**
 * Variables of a plan that nobody carries out: the newest versions, of which nothing is noted. Those that a deploy would generate and that
 * are not there yet keep their placeholders.
 */
export async function previewVariables(deps: VariableDeps, { deployment, manifest, configIds }: PreviewOrder, secrets: SecretTexts): Promise<DeploymentVariables> {
  const configs = (await readConfigs(deps.db, configIds.runtime)).map(({ content }): unknown => parseYaml(content));
  const scope = { director: deps.settings.director.name, deployment: deployment.name };
  const mayLack = new Set([manifest, ...configs].flatMap(definedNames).map((name) => absoluteName(name, scope)));
  const variables = variablesOf(deps, deployment, { id: 0, writable: true }, { mayLack, hide: (value, placeholder) => secrets.addAll(value, placeholder), fix: async (_setId, { id }) => id });
  return { ...variables, setId: undefined };
}

/** Names in the `variables` of a document that may yet be wrong. */
function definedNames(document: unknown): string[] {
  const list = isHash(document) ? document.variables : undefined;
  if (!Array.isArray(list)) return [];
  return list.flatMap((item: unknown) => (isHash(item) && typeof item.name === 'string' ? [item.name] : []));
}

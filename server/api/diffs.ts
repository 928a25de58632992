import { z } from 'zod';
import { requireAccess, teamsWith } from '../auth/permissions';
import { parseConfigContent } from '../configs/parse';
import { normalizeConfigContent } from '../configs/normalize-content';
import { findCurrentConfig, type StoredConfig } from '../configs/store';
import { DirectorError, code, describeError, isDirectorError } from '../core/errors';
import { YamlError, isHash, parseManifestYaml, parseYaml, type Hash } from '../core/yaml';
import { diffDocuments } from '../deployments/diff';
import { diffUploaded } from '../deployments/diff-uploaded';
import { findDeployment } from '../deployments/store';
import { accessTo, badRequest, getConfig } from './configs';
import type { ApiDeps } from './deps';
import { json, type Reply } from './reply';
import type { ApiRequest, Handler } from './route';
import { configName, type ConfigType } from './typed-configs';

/**
 * Diffs that the CLI shows before it deploys or updates a config.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/deployments_controller.rb, configs_controller.rb.
 */

/** `POST /deployments/:deployment/diff`. What is wrong with the manifest is told in the answer, as in BOSH: the deploy itself will refuse it. */
export async function diffManifest(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const name = request.param('deployment');
  const directorUuid = deps.director.uuid;
  const deployment = await findDeployment(deps.db, name);
  requireAccess(request.principal, deployment ? { permission: 'dep:admin', directorUuid, teams: deployment.teams } : { permission: 'create_deployment', directorUuid });
  const uploaded = await request.body.text();
  return reportingFailure('Unable to diff manifest', 200, async () => {
    const { diff, configIds } = await diffUploaded(deps.db, { name, text: uploaded, deployment, teams: deployment?.teams ?? teamsWith(request.principal, 'admin'), redact: request.query.get('redact') !== 'false' });
    return { context: { cloud_config_ids: configIds.cloud, runtime_config_ids: configIds.runtime }, diff };
  });
}

const documentOf = (config: Pick<StoredConfig, 'content'>): Hash => parseConfigContent(config.content);

/** Answers with the value, or with an empty diff and what went wrong. */
async function reportingFailure(prefix: string, status: 200 | 400, work: () => Promise<Record<string, unknown>>): Promise<Reply> {
  try {
    return json(await work());
  } catch (error) {
    if (!isDirectorError(error) && !(error instanceof YamlError)) throw error;
    return json({ diff: [], error: `${prefix}: ${describeError(error).message}` }, status);
  }
}

/** `POST /cloud_configs/diff` and its neighbours. Cloud configs are never redacted. */
export function diffTypedConfig(type: ConfigType): Handler {
  return async (deps, request) => {
    const uploaded = await request.body.text();
    const current = await findCurrentConfig(deps.db, type, configName(type, request));
    return reportingFailure(`Unable to diff ${type} config`, 200, async () => {
      parseManifestYaml(uploaded);
      const redact = type !== 'cloud' && request.query.get('redact') !== 'false';
      return { diff: diffDocuments(current ? documentOf(current) : {}, parseConfigContent(normalizeConfigContent(type, uploaded)), { redact }) };
    });
  };
}

const sideSchema = z.object({ id: z.unknown().optional(), content: z.unknown().optional() });
const bodySchema = z.object({
  type: z.unknown().optional(), name: z.unknown().optional(), content: z.unknown().optional(), from: sideSchema.nullish(), to: sideSchema.nullish(),
});

/** `POST /configs/diff`: new content against the version that counts, or any two versions or contents. */
export async function diffConfigs(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const body = await request.body.jsonOf(bodySchema);
  if (body.from || body.to) {
    if (!body.from || !body.to) throw badRequest("'from' and 'to' are both required");
    const from = await side(deps, request, body.from);
    const to = await side(deps, request, body.to);
    return reportingFailure('Unable to diff config content', 400, async () => ({ diff: diffDocuments(parseSide(from), parseSide(to), { redact: true }) }));
  }
  const { type, name, content } = body;
  if (typeof type !== 'string' || type === '' || typeof name !== 'string' || name === '' || typeof content !== 'string') {
    throw badRequest("Only two request formats are allowed: either 'type', 'name' and 'content', or 'from' and 'to', each with an 'id' or 'content'");
  }
  const current = await findCurrentConfig(deps.db, type, name);
  if (current) requireAccess(request.principal, accessTo(deps, current, 'config:admin'));
  return reportingFailure('Unable to diff config content', 400, async () => ({
    from: { id: String(current?.id ?? 0) },
    diff: diffDocuments(parseSide(current?.content ?? ''), parseConfigContent(normalizeConfigContent(type, content)), { redact: true }),
  }));
}

/** Content of one side. The CLI sends both keys, one of them empty. */
async function side(deps: ApiDeps, request: ApiRequest, given: z.infer<typeof sideSchema>): Promise<string> {
  const { id, content } = given;
  if ((typeof id === 'string' && /\d/.test(id)) || typeof id === 'number') {
    const config = await getConfig(deps, String(id));
    requireAccess(request.principal, accessTo(deps, config, 'config:admin'));
    return config.content;
  }
  if (typeof content === 'string') return content;
  throw new DirectorError(code.badConfigRequest, "Both sides of a diff need an 'id' made of digits or 'content'");
}

function parseSide(content: string): Hash {
  if (content.trim() === '') return {};
  const value = parseYaml(content);
  if (isHash(value)) return value;
  throw new DirectorError(code.badConfig, 'YAML hash expected');
}

import { requireAccess } from '../auth/permissions';
import { parseCpiConfigs } from '../configs/cpi-config';
import { normalizeConfigContent } from '../configs/normalize-content';
import { parseConfigContent } from '../configs/parse';
import { listVersions, lockCurrentConfig } from '../configs/store';
import { parseManifestYaml } from '../core/yaml';
import { accessTo, addVersion } from './configs';
import type { ApiDeps } from './deps';
import { presentConfigVersion } from './present';
import { empty, json, text, type Reply } from './reply';
import { parameter, type ApiRequest, type Handler } from './route';

/**
 * `/cloud_configs`, `/runtime_configs`, `/cpi_configs`: the older endpoints of one type each, which the CLI still uses.
 * Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/cloud_configs_controller.rb and its neighbours.
 */
export type ConfigType = 'cloud' | 'runtime' | 'cpi';

/** CPI configs have one name only. */
export function configName(type: ConfigType, request: ApiRequest): string {
  return type === 'cpi' ? 'default' : (parameter(request, 'name') ?? 'default');
}

export function list(type: ConfigType): Handler {
  return async (deps: ApiDeps, request: ApiRequest): Promise<Reply> => {
    const limit = parameter(request, 'limit');
    if (limit === undefined) return text(400, 'limit is required');
    if (!/^-?\d{1,9}$/.test(limit)) return text(400, `limit is invalid: '${limit}' is not an integer`);
    const versions = await listVersions(deps.db, { type, name: configName(type, request), limit: Math.max(Number(limit), 1) });
    return json(versions.map(presentConfigVersion));
  };
}

export function create(type: ConfigType): Handler {
  return async (deps: ApiDeps, request: ApiRequest): Promise<Reply> => {
    const uploaded = await request.body.text();
    parseManifestYaml(uploaded);
    const content = normalizeConfigContent(type, uploaded);
    if (type === 'cpi') parseCpiConfigs([parseConfigContent(content)]);
    const name = configName(type, request);
    await deps.db.transaction(async (tx) => {
      const current = await lockCurrentConfig(tx, type, name);
      if (current) requireAccess(request.principal, accessTo(deps, current, 'config:admin'));
      if (current?.content !== content) await addVersion(tx, request, { type, name, content, team: current?.team, eventType: `${type}-config`, action: 'update' });
    });
    return empty(201);
  };
}

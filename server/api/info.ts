import type { ApiDeps } from './deps';
import { json, type Reply } from './reply';
import type { ApiRequest } from './route';

/** What clients ask first: how to log in, and whether their credentials are good (`user`). */
export async function info(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const { director } = deps;
  return json({
    name: director.name,
    uuid: director.uuid,
    version: `${director.version} (${director.revision})`,
    user: request.authenticated ? request.principal.username : null,
    cpi: director.cpi,
    stemcell_os: '-',
    stemcell_version: '-',
    user_authentication: { type: 'basic', options: {} },
    features: {
      local_dns: { status: director.localDns.enabled, extras: { domain_name: director.localDns.domain } },
      snapshots: { status: false },
      config_server: { status: director.configServer !== undefined, extras: { urls: director.configServer?.url === undefined ? [] : [director.configServer.url] } },
    },
  });
}

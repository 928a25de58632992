import { loadCpis } from '../configs/load-cpis';
import { DirectorError, code } from '../core/errors';
import { isHash, type Hash } from '../core/yaml';
import { allCpis } from '../cpi/configured';
import { isUploadNeeded, listStemcells, type ListedStemcell } from '../stemcells/store';
import type { DeleteStemcellPayload } from '../task-types/artifact-payloads';
import { acceptTask } from './accept-task';
import type { ApiDeps } from './deps';
import { json, type Reply } from './reply';
import { flag, type ApiRequest } from './route';

/** Stemcells. Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/stemcells_controller.rb. */

export async function listAll(deps: ApiDeps): Promise<Reply> {
  return json((await listStemcells(deps.db)).map(presentStemcell));
}

export function presentStemcell(stemcell: ListedStemcell) {
  return {
    name: stemcell.name, operating_system: stemcell.os, version: stemcell.version, cid: stemcell.cid, cpi: stemcell.cpi, deployments: stemcell.deployments.map((deployment) => ({ name: deployment })),
    api_version: stemcell.apiVersion, id: stemcell.id,
  };
}

/** Whether the CLI should upload a stemcell at all. */
export async function uploadNeeded(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const body = await request.body.json();
  const stemcell = isHash(body) && isHash(body.stemcell) ? body.stemcell : missing('stemcell');
  const wanted = { name: textField(stemcell, 'name'), version: textField(stemcell, 'version') };
  return json({ needed: await isUploadNeeded(deps.db, wanted, allCpis(await loadCpis(deps.db))) });
}

function textField(stemcell: Hash, field: string): string {
  const value = stemcell[field] ?? missing(field);
  if (typeof value === 'string' || typeof value === 'number') return String(value);
  throw new DirectorError(code.validationInvalidType, `Field '${field}' must be a string`);
}

function missing(field: string): never {
  throw new DirectorError(code.validationMissingField, `Missing '${field}' field`);
}

/** An unknown stemcell is found out by the task, as in BOSH. */
export async function remove(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const payload: DeleteStemcellPayload = { name: request.param('name'), version: request.param('version'), force: flag(request, 'force') };
  const name = `${payload.name}/${payload.version}`;
  return acceptTask(deps, request, async () => ({
    type: 'delete_stemcell', lane: 'normal', description: `delete stemcell: ${name}`, payload, event: { action: 'delete', objectType: 'stemcell', objectName: name },
  }));
}

import { z } from 'zod';
import { parseConfigContent } from '../configs/parse';
import { listConfigs } from '../configs/store';
import { listOrphanedVms } from '../instances/store';
import { listReleases } from '../releases/catalogue-store';
import { listStemcells } from '../stemcells/store';
import type { DeleteArtifactsPayload } from '../task-types/artifact-payloads';
import { acceptTask } from './accept-task';
import type { ApiDeps } from './deps';
import { unusedReleases, unusedStemcells, uselessForms } from './left-overs';
import { listCompiledForms } from './left-overs/store';
import { presentOrphanedVm } from './present';
import { json, type Reply } from './reply';
import { flag, type ApiRequest } from './route';
import { presentStemcell } from './stemcells';

const cleanUpBody = z.object({ config: z.object({ remove_all: z.boolean().nullish(), keep_orphaned_disks: z.boolean().nullish() }).nullish() });

/** `POST /cleanup`. */
export async function cleanUp(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const { config } = await request.body.jsonOf(cleanUpBody);
  const payload: DeleteArtifactsPayload = { removeAll: config?.remove_all ?? false, keepOrphanedDisks: config?.keep_orphaned_disks ?? false };
  return acceptTask(deps, request, async () => ({
    type: 'delete_artifacts', lane: 'normal', description: payload.removeAll ? 'clean up all' : 'clean up', payload,
    event: { action: 'delete', objectType: 'artifacts', context: { remove_all: payload.removeAll } },
  }));
}

/** `GET /cleanup/dryrun`: what a clean-up would delete now. Disks, exported releases and DNS blobs do not exist yet. */
export async function showLeftOvers(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const removeAll = flag(request, 'remove_all');
  const runtimeConfigs = (await listConfigs(deps.db, { type: 'runtime', versions: 1 })).map((config) => parseConfigContent(config.content));
  const stemcells = await listStemcells(deps.db);
  const unused = unusedStemcells(stemcells, removeAll);
  const forms = removeAll ? uselessForms(await listCompiledForms(deps.db), stemcells.filter((stemcell) => !unused.includes(stemcell))) : [];
  return json({
    releases: unusedReleases(await listReleases(deps.db), runtimeConfigs, removeAll),
    stemcells: unused.map(presentStemcell),
    compiled_packages: forms.map((form) => ({ package_name: form.packageName, stemcell_os: form.stemcellOs, stemcell_version: form.stemcellVersion })),
    orphaned_disks: [],
    orphaned_vms: (await listOrphanedVms(deps.db)).map(presentOrphanedVm),
    exported_releases: [],
    dns_blobs: [],
  });
}

import { z } from 'zod';
import type { DeleteArtifactsPayload } from '../task-types/artifact-payloads';
import { selectForCleanUp } from '../task-types/cleanup';
import { acceptTask } from './accept-task';
import type { ApiDeps } from './deps';
import { presentOrphanDisk } from './disks';
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

/** `GET /cleanup/dryrun`: what a clean-up would delete now. */
export async function showSelection(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const { orphanedVms, releases, stemcells, compiledPackages, exportedReleases, dnsBlobs, orphanDisks } = await selectForCleanUp(deps.db, { removeAll: flag(request, 'remove_all'), keepOrphanedDisks: flag(request, 'keep_orphaned_disks') });
  return json({
    releases,
    stemcells: stemcells.map(presentStemcell),
    compiled_packages: compiledPackages.map((form) => ({ package_name: form.packageName, stemcell_os: form.stemcellOs, stemcell_version: form.stemcellVersion })),
    orphaned_disks: orphanDisks.map(presentOrphanDisk),
    orphaned_vms: orphanedVms.map(presentOrphanedVm),
    exported_releases: exportedReleases,
    dns_blobs: dnsBlobs.map((blob) => blob.blobId),
  });
}

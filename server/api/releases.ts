import { z } from 'zod';
import { getDeployment } from '../deployments/store';
import { findJobs, getRelease, getReleaseId, getVersionContents, listReleases } from '../releases/catalogue-store';
import type { DeleteReleasePayload, ExportReleasePayload } from '../task-types/artifact-payloads';
import { compareReleaseVersions } from '../core/versions';
import { acceptTask } from './accept-task';
import type { ApiDeps } from './deps';
import { empty, json, text, type Reply } from './reply';
import { flag, parameter, type ApiRequest } from './route';

/** Releases. Rules: cloudfoundry/bosh src/bosh-director/lib/bosh/director/api/controllers/releases_controller.rb. */

export async function listAll(deps: ApiDeps): Promise<Reply> {
  const releases = await listReleases(deps.db);
  return json(
    releases.map((release) => ({
      name: release.name,
      release_versions: release.versions.map((version) => ({
        version: version.version, commit_hash: version.commitHash, uncommitted_changes: version.uncommittedChanges, currently_deployed: version.currentlyDeployed, job_names: version.jobNames,
      })),
    })),
  );
}

export async function show(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const name = request.param('name');
  const version = parameter(request, 'version');
  if (version !== undefined) return showVersion(deps, name, version);
  const release = await getRelease(deps.db, name);
  return json({
    packages: release.packages.map((pkg) => ({ name: pkg.name, sha1: pkg.sha1, version: pkg.version, dependencies: pkg.dependencies })),
    jobs: release.jobs.map((job) => ({ name: job.name, sha1: job.sha1, version: job.version, packages: job.packages })),
    versions: release.versions.toSorted(compareReleaseVersions),
  });
}

async function showVersion(deps: ApiDeps, name: string, version: string): Promise<Reply> {
  const contents = await getVersionContents(deps.db, name, version);
  return json({
    jobs: contents.jobs.map((job) => ({
      name: job.name, blobstore_id: job.blobstoreId, sha1: job.sha1, fingerprint: job.fingerprint, consumes: listOr(job.spec.consumes), provides: listOr(job.spec.provides),
    })),
    packages: contents.packages.map((pkg) => ({
      name: pkg.name, blobstore_id: pkg.blobstoreId, sha1: pkg.sha1, fingerprint: pkg.fingerprint,
      compiled_packages: pkg.compiled.map((form) => ({ stemcell: form.stemcell, sha1: form.sha1, blobstore_id: form.blobstoreId })),
    })),
  });
}

function listOr(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Looks whether the release exists; the task looks at the rest. */
export async function remove(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const name = request.param('name');
  await getReleaseId(deps.db, name);
  const version = parameter(request, 'version');
  const payload: DeleteReleasePayload = { name, ...(version === undefined ? {} : { version }), force: flag(request, 'force') };
  return acceptTask(deps, request, async () => ({
    type: 'delete_release', lane: 'normal', description: `delete release: ${name}`, payload,
    event: { action: 'delete', objectType: 'release', objectName: version === undefined ? name : `${name}/${version}` },
  }));
}

const exportBody = z.object({
  deployment_name: z.string(), release_name: z.string(), release_version: z.string(), stemcell_os: z.string(), stemcell_version: z.string(),
  sha2: z.boolean().nullish(), jobs: z.array(z.looseObject({ name: z.string() })).nullish(),
});

/** `POST /releases/export`: a release compiled for a stemcell as one tarball; its result names the blob. */
export async function exportRelease(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const body = await request.body.jsonOf(exportBody);
  const { name: deployment, teams } = await getDeployment(deps.db, body.deployment_name);
  const payload: ExportReleasePayload = {
    deployment, release: body.release_name, version: body.release_version, stemcell: { os: body.stemcell_os, version: body.stemcell_version }, sha2: body.sha2 ?? false,
    jobs: (body.jobs ?? []).map((job) => job.name),
  };
  const description = `export release: '${payload.release}/${payload.version}' for '${payload.stemcell.os}/${payload.stemcell.version}'`;
  return acceptTask(deps, request, async () => ({ type: 'export_release', lane: 'normal', description, deployment, teams, payload }));
}

/** Release jobs by fingerprint. */
export async function listJobs(deps: ApiDeps, request: ApiRequest): Promise<Reply> {
  const [release, name, fingerprint] = ['release_name', 'name', 'fingerprint'].map((key) => parameter(request, key));
  if (release === undefined || name === undefined || fingerprint === undefined) return empty(400);
  const found = await findJobs(deps.db, { release, name, fingerprint });
  return found.length === 0 ? text(404, `Job '${name}' with fingerprint '${fingerprint}' of release '${release}' doesn't exist`) : json(found);
}

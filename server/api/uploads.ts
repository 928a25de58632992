import { z } from 'zod';
import { errorCodeOf } from '../../db/client';
import type { StoredBlob } from '../blobstore/blobstore';
import { parseDigest } from '../core/digest';
import { DirectorError, code, notSupported } from '../core/errors';
import type { UpdateReleasePayload, UpdateStemcellPayload, UploadSource } from '../task-types/artifact-payloads';
import { acceptOnce, acceptTask, type AcceptedWork } from './accept-task';
import { isUploadOfTask } from './accepted/store';
import { DatabaseAway, withDatabase } from './database-away';
import type { ApiDeps } from './deps';
import { ReplyThrown, text, type Reply } from './reply';
import { flag, parameter, type ApiRequest, type Handler } from './route';

/**
 * Uploads of releases and stemcells. A raw body streams into the blobstore while it is hashed, so that any node can run
 * the task; memory does not depend on its size. A URL is left to the task.
 * Wire form: the CLI posts the archive as it is, `application/x-compressed`; cloudfoundry/bosh-cli director/release.go.
 */
type Kind = 'release' | 'stemcell';

const notEnoughDiskSpace = 500001;

/** The archive is the body. */
export function uploadBody(kind: Kind): Handler {
  return async (deps, request) => {
    const sha1 = digestOf(parameter(request, 'sha1'));
    if (request.body.declaredLength === 0) throw emptyUpload(kind);
    const blob = await storeBody(deps, request);
    if (blob.size === 0) {
      await deps.blobstore.delete(blob.id);
      throw emptyUpload(kind);
    }
    return acceptUpload(deps, request, { blob, work: workOn(kind, request, { source: { kind: 'blob', blobId: blob.id, sha256: blob.sha256 }, ...(sha1 === undefined ? {} : { sha1 }) }) });
  };
}

/** The CLI repeats an upload whose connection broke with an empty body; that must not become a task. */
function emptyUpload(kind: Kind): DirectorError {
  return new DirectorError(
    kind === 'release' ? code.releaseInvalidArchive : code.stemcellInvalidArchive,
    `The uploaded ${kind} is empty. If a connection broke during the upload, see in the list of tasks whether it had arrived; otherwise upload it again`,
  );
}

/** A client that goes away leaves nothing: a put is whole or absent. */
async function storeBody(deps: ApiDeps, request: ApiRequest): Promise<StoredBlob> {
  try {
    return await deps.blobstore.put(request.body.stream());
  } catch (error) {
    if (errorCodeOf(error) !== 'ENOSPC') throw error;
    throw new DirectorError(notEnoughDiskSpace, 'The blobstore has no space left for the upload: free some or clean up releases and stemcells', { cause: error });
  }
}

interface Upload {
  blob: StoredBlob;
  work: AcceptedWork;
}

/** Enqueues the task of a stored upload. Without a task, the blob goes again. */
async function acceptUpload(deps: ApiDeps, request: ApiRequest, { blob, work }: Upload): Promise<Reply> {
  try {
    const accepted = await withDatabase(() => acceptOnce(deps, request, async () => ({ ...work, bodySha256: blob.sha256 })));
    // The same upload has a task already; unless it is this very one, whose commit went unnoticed, its own blob counts.
    if (accepted.repeated && !(await isUploadOfTask(deps.db, accepted.taskId, blob.id))) await deps.blobstore.delete(blob.id);
    return accepted.reply;
  } catch (error) {
    // While the database is away nobody knows whether the task was committed: then the blob must stay.
    if (!(error instanceof DatabaseAway)) await deps.blobstore.delete(blob.id);
    throw error;
  }
}

const remoteBody = z.object({ location: z.string(), sha1: z.string().nullish() });

/** The archive is at a URL. */
export function uploadFromUrl(kind: Kind): Handler {
  return async (deps, request) => {
    const remote = await request.body.jsonOf(remoteBody);
    const inQuery = parameter(request, 'sha1');
    const inBody = remote.sha1 === null || remote.sha1 === '' ? undefined : remote.sha1;
    if (inQuery !== undefined && inBody !== undefined) throw new ReplyThrown(text(400, 'Sha1 provided in multiple places'));
    const sha1 = digestOf(inQuery ?? inBody);
    if (!/^https?:\/\/[^/]/i.test(remote.location) || !URL.canParse(remote.location)) {
      throw new DirectorError(code.validationInvalidValue, `Field 'location' must be an http or https URL, not '${remote.location}'`);
    }
    const source: UploadSource = { kind: 'url', location: remote.location };
    return acceptTask(deps, request, async () => workOn(kind, request, { source, ...(sha1 === undefined ? {} : { sha1 }) }));
  };
}

/** Behind BOSH's nginx this form carries a path on the director's disk, which no client may choose. */
export async function refuseMultipart(): Promise<Reply> {
  throw notSupported('Uploading as multipart/form-data (send the archive as the body, with content type application/x-compressed)');
}

function digestOf(given: string | undefined): string | undefined {
  if (given === undefined) return undefined;
  try {
    parseDigest(given);
    return given;
  } catch (error) {
    throw new DirectorError(code.validationInvalidValue, error instanceof Error ? error.message : String(error), { cause: error });
  }
}

function workOn(kind: Kind, request: ApiRequest, upload: { source: UploadSource; sha1?: string }): AcceptedWork {
  const fix = flag(request, 'fix');
  const origin = upload.source.kind === 'url' ? { location: withoutPassword(upload.source.location) } : {};
  const event = { action: 'create', objectType: kind, context: origin };
  if (kind === 'stemcell') {
    const payload: UpdateStemcellPayload = { ...upload, fix };
    return { type: 'update_stemcell', lane: 'normal', description: 'create stemcell', payload, event };
  }
  const payload: UpdateReleasePayload = { ...upload, fix, rebase: flag(request, 'rebase') };
  return { type: 'update_release', lane: 'normal', description: 'create release', payload, event };
}

function withoutPassword(location: string): string {
  const url = new URL(location);
  if (url.password !== '') url.password = 'redacted';
  return url.toString();
}

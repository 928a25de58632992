import { sha1Hex } from '../core/digest';
import { DirectorError, code } from '../core/errors';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** True for a lower-case UUID; nothing else can name a blob, so that no name leaves the store. */
export function isBlobId(id: string): boolean {
  return uuid.test(id);
}

/** A blob id that follows from a name: whoever does a task again writes the same blob. */
export function blobIdOf(name: string): string {
  const hex = sha1Hex(name);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

export function assertBlobId(id: string): void {
  if (!isBlobId(id)) throw new DirectorError(code.resourceError, `'${id}' is not a blob id: expected a lower-case UUID`);
}

export function blobNotFound(id: string, cause?: unknown): DirectorError {
  return new DirectorError(code.resourceNotFound, `Resource not found: blob '${id}' doesn't exist`, { cause });
}

export function blobMismatch(id: string): (expected: string, actual: string) => DirectorError {
  return (expected, actual) =>
    new DirectorError(code.resourceError, `Blob '${id}' is damaged: its digest should be ${expected} but is ${actual}; upload its source again with --fix`);
}

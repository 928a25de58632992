/**
 * Errors as the CPI contract knows them (cloudfoundry/bosh src/bosh-director/lib/clouds/errors.rb);
 * the director decides by the type string what an error means.
 */
export type CpiErrorType =
  | 'Bosh::Clouds::CpiError'
  | 'Bosh::Clouds::CloudError'
  | 'Bosh::Clouds::NotSupported'
  | 'Bosh::Clouds::NotImplemented'
  | 'Bosh::Clouds::VMNotFound'
  | 'Bosh::Clouds::VMCreationFailed'
  | 'Bosh::Clouds::DiskNotFound'
  | 'Bosh::Clouds::DiskNotAttached'
  | 'Bosh::Clouds::NetworkNotFound'
  | 'Bosh::Clouds::NoDiskSpace';

/** The `error` object of a CPI response. */
export interface CpiErrorReply {
  type: string;
  message: string;
  ok_to_retry: boolean;
}

export class CpiError extends Error {
  readonly type: string;
  readonly okToRetry: boolean;

  constructor(type: CpiErrorType, message: string, options: { okToRetry?: boolean; cause?: unknown } = {}) {
    super(message, { cause: options.cause });
    this.name = 'CpiError';
    this.type = type;
    this.okToRetry = options.okToRetry ?? false;
  }
}

/** An error of a given wire form, as a test hook asks for it. */
export class ForcedCpiError extends Error {
  readonly reply: CpiErrorReply;

  constructor(reply: CpiErrorReply) {
    super(reply.message);
    this.name = 'ForcedCpiError';
    this.reply = reply;
  }
}

/** The wire form of anything thrown; what is not a CpiError becomes a CloudError that is not worth a retry. */
export function toErrorReply(error: unknown): CpiErrorReply {
  if (error instanceof ForcedCpiError) return error.reply;
  if (error instanceof CpiError) return { type: error.type, message: error.message, ok_to_retry: error.okToRetry };
  return { type: 'Bosh::Clouds::CloudError', message: error instanceof Error ? error.message : String(error), ok_to_retry: false };
}

export const cloudError = (message: string): CpiError => new CpiError('Bosh::Clouds::CloudError', message);
export const vmNotFound = (cid: string): CpiError => new CpiError('Bosh::Clouds::VMNotFound', `VM '${cid}' does not exist in the local cloud`);
export const diskNotFound = (cid: string): CpiError => new CpiError('Bosh::Clouds::DiskNotFound', `Disk '${cid}' does not exist in the local cloud`);

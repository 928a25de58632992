/** Types of failures that a CPI may report, without their prefix `Bosh::Clouds::`. */
export const cpiErrorTypes = [
  'CpiError', 'NotSupported', 'NotImplemented', 'CloudError', 'VMNotFound', 'NetworkNotFound', 'NoDiskSpace', 'DiskNotAttached', 'DiskNotFound', 'VMCreationFailed',
] as const;

/** `Unknown` is a failure of a type that BOSH does not know, `Unusable` a CPI that cannot be run or understood. */
export type CpiErrorType = (typeof cpiErrorTypes)[number] | 'Unknown' | 'Unusable';

const brand = Symbol.for('directorate.cpi-error');

/** A CPI call that failed. In the event log its code is 100, as in BOSH. */
export class CpiError extends Error {
  readonly [brand] = true;
  readonly type: CpiErrorType;
  /** The CPI says that the same call may succeed if repeated; only `create_vm` is. */
  readonly okToRetry: boolean;

  constructor(type: CpiErrorType, message: string, options?: { okToRetry?: boolean; cause?: unknown }) {
    super(message, options?.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'CpiError';
    this.type = type;
    this.okToRetry = options?.okToRetry ?? false;
  }
}

/** Recognises a CpiError by its brand; with `type` only one of that type. */
export function isCpiError(error: unknown, ...types: readonly CpiErrorType[]): error is CpiError {
  if (typeof error !== 'object' || error === null || !(brand in error)) return false;
  return types.length === 0 || ('type' in error && types.some((type) => type === error.type));
}

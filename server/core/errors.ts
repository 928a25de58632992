/**
 * The director's errors. Each has BOSH's numeric code; the code decides the HTTP status.
 * Codes and statuses: cloudfoundry/bosh src/bosh-director/lib/bosh/director/errors.rb.
 */

/** Codes that the code base refers to by name; the numbers are part of the wire protocol. */
export const code = {
  taskNotFound: 10000, taskCancelled: 10001,
  releaseAlreadyExists: 30000, releaseInvalidArchive: 30002, releaseManifestNotFound: 30003, releaseExistingJobHashMismatch: 30004,
  releaseNotFound: 30005, releaseVersionNotFound: 30006, releaseInUse: 30007, releaseVersionInUse: 30008, releaseVersionInvalid: 30010, releaseNotMatchingManifest: 30011,
  releaseInvalidPackage: 30012, releaseExistingJobFingerprintMismatch: 30013, releaseVersionCommitHashMismatch: 30014,
  releaseSha1DoesNotMatch: 30015, releasePackageDependencyKeyMismatch: 30016,
  validationInvalidType: 40000, validationMissingField: 40001, validationViolatedMin: 40002, validationViolatedMax: 40003, validationInvalidValue: 40005,
  stemcellInvalidArchive: 50000, stemcellImageNotFound: 50001, stemcellAlreadyExists: 50002, stemcellNotFound: 50003, stemcellInUse: 50004,
  stemcellAliasAlreadyExists: 50005, stemcellSha1DoesNotMatch: 50007, stemcellNotSupported: 50008,
  packageInvalidArchive: 60000, packageMissingSourceCode: 60001, packageMissingExportedFrom: 60003, stemcellNotPresentInExportedFrom: 60004,
  deploymentNotFound: 70000, instanceNotFound: 70001, instanceInvalidIndex: 70002, snapshotNotFound: 70008, contextIdViolatedMax: 70010, variableSetNotFound: 70011,
  jobInvalidArchive: 80000, jobMissingManifest: 80001, jobMissingTemplateFile: 80002, jobMissingMonit: 80004, jobInvalidLogSpec: 80005,
  jobInvalidPropertySpec: 80008, jobPackageCollision: 80011, jobInvalidPackageSpec: 80012, jobInvalidLinkSpec: 80013, jobDuplicateLinkName: 80014, jobWithExportedFromMismatch: 80015, jobInvalidName: 80016,
  releaseMissingJob: 140029,
  resourceError: 100001, resourceNotFound: 100002,
  networkReservationAlreadyInUse: 130008, networkReservationNotEnoughCapacity: 130011,
  deploymentCanonicalNameTaken: 190009, deploymentInvalidMigratedFromJob: 190018, deploymentIgnoredInstancesModification: 190020, deploymentIgnoredInstancesDeletion: 190021, deploymentDuplicateVariableName: 190022, deploymentInvalidConfigReference: 190025,
  cloudDiskNotAttached: 390001, cloudDiskMissing: 390002,
  agentJobNotRunning: 400007, agentDiskOutOfSync: 400010,
  packageCompilationInvalidTaskBlobstoreId: 430004,
  badManifest: 440001, badConfigRequest: 440010, badConfig: 440011, configNotFound: 440012, badExpectedConfigId: 440013,
  rpcRemoteException: 450001, rpcTimeout: 450002, systemError: 500000,
  deletingPersistentDisk: 520000, attachDiskUnknownInstance: 520001, attachDiskInvalidInstanceState: 520003,
  configServerFetchError: 540001, configServerMissingName: 540002, configServerIncorrectNameSyntax: 540004, configServerGenerationError: 540005,
  configServerIncorrectVariablePlacement: 540007, configServerInconsistentVariableState: 540008, configServerDisabled: 540009,
  cpiNotFound: 550001,
  unauthorizedToAccessDeployment: 600000, uaaAuthorizationError: 610000,
  invalidYaml: 710000, invalidJson: 710001,
  /** Anything that is not one of the director's own errors; also what Directorate does not support yet. */
  generic: 100,
} as const;

const notFound = new Set([10000, 20000, 30005, 30006, 50003, 70000, 70001, 70009, 100002, 110003, 440012, 810000]);
const serverFault = new Set([100, 70012, 500000, 500001, 810004]);

/** HTTP status of an error code; 400 unless the table says otherwise. */
export function httpStatusOf(errorCode: number): number {
  if (notFound.has(errorCode)) return 404;
  if (serverFault.has(errorCode)) return 500;
  switch (errorCode) {
    case code.taskCancelled: return 200;
    case 90000: return 422;
    case code.badExpectedConfigId: return 412;
    case code.unauthorizedToAccessDeployment: return 401;
    case 810009: return 403;
    default: return 400;
  }
}

const brand = Symbol.for('directorate.error');

/** An error that an operator may see: BOSH's code and a sentence that tells what to do. */
export class DirectorError extends Error {
  readonly [brand] = true;
  readonly code: number;
  /** HTTP status; follows from the code unless given. */
  readonly status: number;

  constructor(errorCode: number, message: string, options?: { cause?: unknown; status?: number }) {
    super(message, options);
    this.name = 'DirectorError';
    this.code = errorCode;
    this.status = options?.status ?? httpStatusOf(errorCode);
  }
}

/** Recognises a DirectorError by its brand: module copies (bundles) make `instanceof` unreliable. */
export function isDirectorError(error: unknown): error is DirectorError {
  return typeof error === 'object' && error !== null && brand in error;
}

/** Refuses a feature that BOSH has and Directorate does not have yet, so that it is never silently ignored. `instead` tells what to do. */
export function notSupported(what: string, instead?: string): DirectorError {
  return new DirectorError(code.generic, `${what} is not supported by this version of Directorate${instead === undefined ? '' : `: ${instead}`}`, { status: 501 });
}

/** Code and text of any thrown value as they appear in a task's event log: code 100 for what is not a DirectorError. */
export function describeError(error: unknown): { code: number; message: string } {
  if (isDirectorError(error)) return { code: error.code, message: error.message };
  return { code: code.generic, message: error instanceof Error ? error.message : String(error) };
}

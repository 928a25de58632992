import { z } from 'zod';
import { CpiError, cpiErrorTypes, type CpiErrorType } from './errors';

/**
 * The JSON that goes to and comes from a CPI process.
 * Source of shapes, error texts and redaction: cloudfoundry/bosh src/bosh-director/lib/clouds/external_cpi.rb.
 */

export interface CpiRequest {
  method: string;
  arguments: readonly unknown[];
  /** `director_uuid`, `request_id`, `vm` where the stemcell matters, and the properties of the CPI config, which win. */
  context: Record<string, unknown>;
  /** Absent in `info`, before the version is known. */
  api_version?: number;
}

export interface RequestInput {
  method: string;
  args: readonly unknown[];
  directorUuid: string;
  requestId: string;
  stemcellApiVersion?: number | null | undefined;
  apiVersion?: number | undefined;
  /** Of the CPI config. */
  properties?: Record<string, unknown>;
}

export function buildRequest(input: RequestInput): CpiRequest {
  const { method, args, directorUuid, requestId, stemcellApiVersion, apiVersion, properties } = input;
  const vm = stemcellApiVersion === undefined || stemcellApiVersion === null ? {} : { vm: { stemcell: { api_version: stemcellApiVersion } } };
  return {
    method,
    arguments: args,
    context: { director_uuid: directorUuid, request_id: requestId, ...vm, ...properties },
    ...(apiVersion === undefined ? {} : { api_version: apiVersion }),
  };
}

/** `cpi-` and six digits, new for every call. */
export function newRequestId(): string {
  return `cpi-${100_000 + Math.floor(Math.random() * 900_000)}`;
}

const hidden = '<redacted>';
const openBoshKeys = new Set(['group', 'groups', 'tags']);

/**
 * The request as the debug log shows it: cloud properties, environments of VMs and the properties of the CPI (of which `secretKeys`
 * are the names) may hold secrets.
 */
export function redactRequest(request: CpiRequest, secretKeys: readonly string[] = []): CpiRequest {
  const args = request.arguments.map((argument, index) => {
    if (!isHash(argument)) return argument;
    if (request.method === 'create_vm') return redactCreateVm(argument, index);
    if (request.method === 'create_network') return mapValues(argument, (value, key) => (key === 'cloud_properties' && isHash(value) ? hideValues(value) : value));
    const cloudProperties = { create_disk: 1, update_disk: 2, create_stemcell: 1 }[request.method];
    return index === cloudProperties ? hideValues(argument) : argument;
  });
  return { ...request, arguments: args, context: mapValues(request.context, (value, key) => (secretKeys.includes(key) ? hidden : value)) };
}

function redactCreateVm(argument: Hash, index: number): Hash {
  switch (index) {
    case 2:
      return hideValues(argument);
    case 3:
      return mapValues(argument, (network) => (isHash(network) && isHash(network.cloud_properties) ? { ...network, cloud_properties: hideValues(network.cloud_properties) } : network));
    case 5:
      return mapValues(argument, (value, key) => (key === 'bosh' && isHash(value) ? mapValues(value, (inner, name) => (openBoshKeys.has(name) ? inner : hidden)) : hidden));
    default:
      return argument;
  }
}

type Hash = Record<string, unknown>;

function isHash(value: unknown): value is Hash {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mapValues(hash: Hash, change: (value: unknown, key: string) => unknown): Hash {
  return Object.fromEntries(Object.entries(hash).map(([key, value]) => [key, change(value, key)]));
}

function hideValues(hash: Hash): Hash {
  return mapValues(hash, () => hidden);
}

const responseShape = z.looseObject({
  result: z.unknown(),
  error: z.looseObject({ type: z.string(), message: z.string(), ok_to_retry: z.boolean() }).nullable(),
  log: z.string(),
});

export interface CpiResponse {
  result: unknown;
  error: { type: string; message: string; ok_to_retry: boolean } | null;
  log: string;
}

/** Reads what a CPI printed. Throws CpiError `Unusable`. */
export function parseResponse(stdout: string): CpiResponse {
  let document: unknown;
  try {
    document = JSON.parse(stdout);
  } catch (cause) {
    throw new CpiError('Unusable', `Invalid CPI response - ParserError - ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  const parsed = responseShape.safeParse(document);
  if (!parsed.success || !isHash(document) || !('result' in document)) {
    const problem = parsed.success ? 'result is missing' : parsed.error.issues.map((issue) => `${issue.path.join('.') || 'response'}: ${issue.message}`).join('; ');
    throw new CpiError('Unusable', `Invalid CPI response - SchemaValidationError: ${problem}`);
  }
  return { result: parsed.data.result, error: parsed.data.error, log: parsed.data.log };
}

const prefix = 'Bosh::Clouds::';

/** The failure that a response reports, as an error that callers can tell apart. */
export function errorOf(error: NonNullable<CpiResponse['error']>, method: string, requestId: string): CpiError {
  const type = typeOf(error);
  const kind = type === 'Unknown' ? 'Unknown CPI error' : 'CPI error';
  return new CpiError(type, `${kind} '${error.type}' with message '${error.message}' in '${method}' CPI method (CPI request ID: '${requestId}')`, { okToRetry: error.ok_to_retry });
}

function typeOf(error: { type: string; message: string }): CpiErrorType {
  // How CPIs of old say that they lack a method.
  if (error.type === 'InvalidCall' && error.message.startsWith('Method is not known, got')) return 'NotImplemented';
  if (error.type === `${prefix}CloudError` && error.message.startsWith('Invalid Method:')) return 'NotImplemented';
  return cpiErrorTypes.find((known) => error.type === prefix + known) ?? 'Unknown';
}

export const infoResult = z.looseObject({ api_version: z.number().int().optional(), stemcell_formats: z.array(z.string()).optional() });
/** Cloud ids are strings; some CPIs print numbers. */
export const cid = z.union([z.string().min(1), z.number().int().transform(String)]);
export const createVmResult = z.tuple([cid]).rest(z.unknown()).transform(([vmCid]) => vmCid);
export const createNetworkResult = z
  .tuple([cid, z.looseObject({ range: z.string().nullish(), gateway: z.string().nullish(), reserved: z.array(z.string()).nullish() }), z.record(z.string(), z.unknown()).nullish()])
  .rest(z.unknown())
  .transform(([networkCid, { range, gateway, reserved }, cloudProperties]) => ({ cid: networkCid, range: range ?? undefined, gateway: gateway ?? undefined, reserved: reserved ?? [], cloudProperties: cloudProperties ?? {} }));
export const diskHint = z.union([z.string().min(1), z.record(z.string(), z.unknown())]);
export const cloudPropertiesResult = z.record(z.string(), z.unknown());
export const diskCids = z.array(cid);

import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { isCpiError } from './errors';
import { buildRequest, errorOf, parseResponse, redactRequest, type CpiRequest } from './protocol';

/** Calls of a Ruby director to a CPI. */
const folder = 'tests/fixtures/cpi';
const captureShape = z.object({
  request: z.object({
    method: z.string(),
    arguments: z.array(z.unknown()),
    context: z.object({ director_uuid: z.string(), request_id: z.string(), vm: z.object({ stemcell: z.object({ api_version: z.number() }) }).optional() }),
    api_version: z.number().optional(),
  }),
  response: z.looseObject({}),
});
const captures = readdirSync(folder).map((file) => ({ file, ...captureShape.parse(JSON.parse(readFileSync(`${folder}/${file}`, 'utf8'))) }));

test.each(captures)('$file: the request is written as the Ruby director writes it, the response is understood', ({ request, response }) => {
  const built = buildRequest({
    method: request.method,
    args: request.arguments,
    directorUuid: request.context.director_uuid,
    requestId: request.context.request_id,
    stemcellApiVersion: request.context.vm?.stemcell.api_version,
    apiVersion: request.api_version,
  });
  expect(JSON.stringify(built)).toBe(JSON.stringify(request));
  const parsed = parseResponse(JSON.stringify(response));
  if (parsed.error) expect(errorOf(parsed.error, request.method, 'cpi-1')).toMatchObject({ type: 'CloudError', okToRetry: false, message: "CPI error 'Bosh::Clouds::CloudError' with message 'Creating vm failed' in 'create_vm' CPI method (CPI request ID: 'cpi-1')" });
});

describe('responses that cannot be used', () => {
  test.each([
    ['no JSON', 'Segmentation fault', /^Invalid CPI response - ParserError - /],
    ['nothing', '', /^Invalid CPI response - ParserError - /],
    ['no log', '{"result":1,"error":null,"log":null}', /^Invalid CPI response - SchemaValidationError: log: /],
    ['no result', '{"error":null,"log":""}', /^Invalid CPI response - SchemaValidationError: /],
    ['an error without ok_to_retry', '{"result":null,"error":{"type":"x","message":"y"},"log":""}', /^Invalid CPI response - SchemaValidationError: error.ok_to_retry: /],
  ])('%s', (_name, stdout, message) => {
    expect(() => parseResponse(stdout)).toThrow(message);
  });
});

describe('types of failures', () => {
  const of = (type: string, message = 'm') => errorOf({ type, message, ok_to_retry: true }, 'has_vm', 'cpi-1');
  test.each(['CpiError', 'NotSupported', 'NotImplemented', 'CloudError', 'VMNotFound', 'NetworkNotFound', 'NoDiskSpace', 'DiskNotAttached', 'DiskNotFound', 'VMCreationFailed'] as const)('%s', (type) => {
    expect(isCpiError(of(`Bosh::Clouds::${type}`), type)).toBe(true);
    expect(of(`Bosh::Clouds::${type}`).okToRetry).toBe(true);
  });
  test('what BOSH does not know', () => {
    expect(of('Errno::ENOENT')).toMatchObject({ type: 'Unknown', message: "Unknown CPI error 'Errno::ENOENT' with message 'm' in 'has_vm' CPI method (CPI request ID: 'cpi-1')" });
  });
  test('old ways to say that a method is missing', () => {
    expect(of('InvalidCall', "Method is not known, got 'x'").type).toBe('NotImplemented');
    expect(of('Bosh::Clouds::CloudError', 'Invalid Method: x').type).toBe('NotImplemented');
  });
});

test('the log shows no cloud properties and of a VM environment only group, groups and tags', () => {
  const request: CpiRequest = {
    method: 'create_vm',
    arguments: ['agent', 'stemcell', { key: 'SECRET' }, { a: { ip: '10.0.0.1', cloud_properties: { k: 'SECRET' } } }, [], { other: 'SECRET', bosh: { password: 'SECRET', mbus: { cert: 'SECRET' }, group: 'g', groups: ['g'], tags: { a: 'b' } } }],
    context: { director_uuid: 'd', request_id: 'cpi-1' },
  };
  const shown = JSON.stringify(redactRequest(request).arguments);
  expect(shown).not.toContain('SECRET');
  expect(shown).toBe('["agent","stemcell",{"key":"<redacted>"},{"a":{"ip":"10.0.0.1","cloud_properties":{"k":"<redacted>"}}},[],{"other":"<redacted>","bosh":{"password":"<redacted>","mbus":"<redacted>","group":"g","groups":["g"],"tags":{"a":"b"}}}]');
});

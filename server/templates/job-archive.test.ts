import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { isDirectorError } from '../core/errors';
import { jobSources, readJobArchive } from './job-archive';

const parseYaml = (text: string): unknown => parse(text);
const options = { jobName: 'nginx', parseYaml };
const manifest = `
name: nginx
description: serves
templates: {b.erb: bin/b, sub/a.erb: config/a}
packages: [nginx]
properties: {port: {default: 80}, host: {description: name}, none: }
provides: [{name: web, type: http, properties: [port]}]
consumes: [{name: db, type: sql, optional: true}]
`;
const files = { './job.MF': manifest, './monit': 'check', './templates/b.erb': 'B', './templates/sub/a.erb': 'A', './templates/unused': 'U' };

async function tarOf(entries: Record<string, string>): Promise<Buffer> {
  const tar = pack();
  tar.entry({ name: './', type: 'directory' });
  for (const [name, content] of Object.entries(entries)) tar.entry({ name }, content);
  tar.finalize();
  return buffer(tar);
}

async function codeOf(entries: Record<string, string>): Promise<number | undefined> {
  return readJobArchive(await tarOf(entries), options).then(
    () => undefined,
    (error: unknown) => {
      if (!isDirectorError(error)) throw error;
      expect(error.message).toContain('nginx');
      return error.code;
    },
  );
}

test('a job archive is read from a buffer or a stream, compressed or not', async () => {
  const tar = await tarOf(files);
  const tgz = gzipSync(tar);
  for (const source of [tar, tgz, Readable.from([tgz.subarray(0, 100), tgz.subarray(100)])]) {
    const archive = await readJobArchive(source, options);
    expect([...archive.templates].map(([src, text]) => [src, text.toString()])).toEqual([['b.erb', 'B'], ['sub/a.erb', 'A']]);
    expect(archive.manifest).toMatchObject({ packages: ['nginx'], properties: { port: { default: 80 }, none: null }, consumes: [{ name: 'db', optional: true }], logs: {} });
    expect(jobSources(archive)).toEqual({
      jobName: 'nginx',
      monit: Buffer.from('check'),
      templates: [{ src: 'b.erb', dest: 'bin/b', text: Buffer.from('B') }, { src: 'sub/a.erb', dest: 'config/a', text: Buffer.from('A') }],
    });
  }
});

test('what the upload has taken can be rendered: descriptions and definitions have any form', async () => {
  const loose = 'name: nginx\ndescription: 8080\nproperties: {port: the port, host: {description: [a]}}\nconsumes: [{name: db, type: sql, optional: yes please}, {name: web, type: http}]';
  expect((await readJobArchive(await tarOf({ ...files, './job.MF': loose }), options)).manifest.name).toBe('nginx');
});

test('a minimal job needs a name and a monit file', async () => {
  const archive = await readJobArchive(await tarOf({ 'job.MF': 'name: nginx', 'extra.monit': '' }), options);
  expect(archive).toMatchObject({ monit: undefined, propertiesSchema: undefined, manifest: { templates: {}, packages: [], provides: [] } });
  expect(() => jobSources(archive)).toThrow(/no file named 'monit'/);
});

test('a job with a properties schema can be read but not rendered yet', async () => {
  const archive = await readJobArchive(await tarOf({ ...files, 'properties_schema.json': '{"type": "object"}' }), options);
  expect(archive.propertiesSchema).toEqual({ type: 'object' });
  expect(jobSources(archive).propertiesSchema).toEqual({ type: 'object' });
});

test.each<[string, Record<string, string>, number]>([
  ['no manifest', { './monit': '' }, 80001],
  ['broken YAML', { ...files, './job.MF': '{' }, 80001],
  ['a manifest that is no map', { ...files, './job.MF': '- a' }, 80001],
  ['another name', { ...files, './job.MF': 'name: apache' }, 80016],
  ['a missing template', { ...files, './job.MF': 'name: nginx\ntemplates: {c.erb: c}' }, 80002],
  ['a template outside of templates/', { ...files, './job.MF': 'name: nginx\ntemplates: {../monit: c}' }, 80002],
  ['a destination outside of the job', { ...files, './job.MF': 'name: nginx\ntemplates: {b.erb: ../../etc/passwd}' }, 80000],
  ['an absolute destination', { ...files, './job.MF': 'name: nginx\ntemplates: {b.erb: /etc/passwd}' }, 80000],
  ['templates that are no map', { ...files, './job.MF': 'name: nginx\ntemplates: [b.erb]' }, 80002],
  ['no monit file', { './job.MF': 'name: nginx', './sub/x.monit': '' }, 80004],
  ['logs that are no map', { ...files, './job.MF': 'name: nginx\nlogs: [a]' }, 80005],
  ['properties that are no map', { ...files, './job.MF': 'name: nginx\nproperties: [a]' }, 80008],
  ['packages that are no list', { ...files, './job.MF': 'name: nginx\npackages: a' }, 80012],
  ['packages that are no names', { ...files, './job.MF': 'name: nginx\npackages: [{}]' }, 80012],
  ['provides that is no list', { ...files, './job.MF': 'name: nginx\nprovides: {}' }, 80013],
  ['consumes with a name only', { ...files, './job.MF': 'name: nginx\nconsumes: [{name: a}]' }, 80013],
  ['links that are no maps', { ...files, './job.MF': 'name: nginx\nconsumes: [a]' }, 80013],
  ['an optional provided link', { ...files, './job.MF': 'name: nginx\nprovides: [{name: a, type: b, optional: true}]' }, 80013],
  ['a link name used twice', { ...files, './job.MF': 'name: nginx\nconsumes: [{name: a, type: b}, {name: a, type: c}]' }, 80014],
  ['a climbing entry', { ...files, '../evil': '' }, 80000],
  ['an absolute entry', { ...files, '/etc/evil': '' }, 80000],
  ['broken JSON as schema', { ...files, './properties_schema.json': '{' }, 80000],
])('a job with %s is refused', async (_what, entries, expected) => {
  expect(await codeOf(entries)).toBe(expected);
});

test('an archive that is cut off, garbage, empty or a bomb is refused', async () => {
  const tgz = gzipSync(await tarOf(files));
  const bomb = gzipSync(await tarOf({ ...files, './templates/zeros': '\0'.repeat(130 * 1024 * 1024) }));
  for (const broken of [tgz.subarray(0, tgz.length - 20), Buffer.from('garbage'.repeat(200)), Buffer.alloc(0), (await tarOf(files)).subarray(0, 700), bomb]) {
    await expect(readJobArchive(broken, options)).rejects.toMatchObject({ code: 80000 });
  }
});

import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { expect, test } from 'vitest';
import { createArchive } from './archive';
import { archiveEntries, configurationHash, templateHashes, withLinksFile } from './instance';
import type { RenderedJob } from './render-job';

const file = (src: string, dest: string, content: string) => ({ src, dest, content: Buffer.from(content) });
const job = (jobName: string, files: RenderedJob['files'] = []): RenderedJob => ({ jobName, monit: Buffer.from(`monit of ${jobName}`), files });
const sha1 = (text: string) => createHash('sha1').update(text).digest('hex');

const web = withLinksFile(job('web', [file('b.erb', 'bin/b', 'B'), file('B.erb', 'bin/upper', 'U'), file('a.erb', 'config/a', 'A')]), []);
const agent = withLinksFile(job('agent'), [
  { name: 'two', type: 't', group: '9' },
  { name: 'one', type: 't', group: '10' },
]);

test('links.json lists provided links by group', () => {
  expect(web.files.at(-1)?.content.toString()).toBe('[]\n');
  expect(agent.files[0]?.content.toString()).toBe(`[
  {
    "name": "one",
    "type": "t",
    "group": "10"
  },
  {
    "name": "two",
    "type": "t",
    "group": "9"
  }
]
`);
});

test('the configuration hash runs over jobs by name and files by source, with names and destinations', () => {
  const links = agent.files[0]?.content.toString() ?? '';
  const expected = sha1(`monit of agentagent${links}.bosh/links.jsonmonit of webweb[]\n.bosh/links.jsonUbin/upperAconfig/aBbin/b`);
  expect(configurationHash([web, agent])).toBe(expected);
  expect(configurationHash([agent, web])).toBe(expected);
  expect(configurationHash([])).toBe(sha1(''));
});

test('template hashes run over contents only', () => {
  expect(templateHashes([web, agent])).toEqual({
    web: sha1('monit of web[]\nUAB'),
    agent: sha1(`monit of agent${agent.files[0]?.content.toString()}`),
  });
});

test('the archive holds every file below its job, with its folders, and is the same each time', async () => {
  const entries = archiveEntries([web, agent]);
  const archive = await createArchive(entries);
  const found: string[] = [];
  for await (const entry of Readable.from([gunzipSync(archive.bytes)]).pipe(extract())) {
    found.push(`${entry.header.name} ${(await buffer(entry)).toString().slice(0, 12).trim()}`);
  }
  expect(found).toEqual([
    './web/ ', './web/monit monit of web', './web/bin/ ', './web/bin/b B', './web/bin/upper U', './web/config/ ', './web/config/a A', './web/.bosh/ ', './web/.bosh/links.json []',
    './agent/ ', './agent/monit monit of age', './agent/.bosh/ ', expect.stringContaining('./agent/.bosh/links.json ['),
  ]);
  const again = await createArchive(entries);
  expect(again).toEqual(archive);
  expect(archive.sha1).toBe(createHash('sha1').update(archive.bytes).digest('hex'));
  expect(archive.sha256).toMatch(/^[0-9a-f]{64}$/);
});

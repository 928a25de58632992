import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack, type Header } from 'tar-stream';
import { describe, expect, it } from 'vitest';
import { readArchive, readText, uploadRules, type ArchiveRules } from './archive';

type Item = Partial<Header> & { name: string; text?: string };

async function tar(items: Item[]): Promise<Buffer> {
  const archive = pack();
  for (const { text, ...header } of items) archive.entry(header, text ?? '');
  archive.finalize();
  return buffer(archive);
}

async function list(content: Buffer, rules: Partial<ArchiveRules> = {}): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  await readArchive(Readable.from([content]), { ...uploadRules, ...rules }, async (file) => {
    files[file.path] = await readText(file, 1_000_000);
  });
  return files;
}

const two: Item[] = [{ name: './a', text: 'A' }, { name: './d/', type: 'directory' }, { name: './d/b', text: 'B'.repeat(100_000) }];

describe('reading archives', () => {
  it.each([
    ['plain', (content: Buffer) => content],
    ['gzipped', (content: Buffer) => gzipSync(content)],
  ])('reads a %s tar', async (_form, wrap) => {
    expect(await list(wrap(await tar(two)))).toEqual({ a: 'A', 'd/b': 'B'.repeat(100_000) });
  });

  it('reads content that arrives byte by byte', async () => {
    const content = gzipSync(await tar([{ name: 'a', text: 'A' }]));
    const files: string[] = [];
    await readArchive(Readable.from([...content].map((byte) => Buffer.from([byte])), { objectMode: false }), uploadRules, async (file) => void files.push(file.path));
    expect(files).toEqual(['a']);
  });

  it('skips files that are not read', async () => {
    const files: string[] = [];
    await readArchive(Readable.from([gzipSync(await tar(two))]), uploadRules, async (file) => void files.push(file.path));
    expect(files).toEqual(['a', 'd/b']);
  });

  it.each([
    ['an absolute name', [{ name: '/etc/passwd', text: 'x' }], /absolute/],
    ['a name that climbs out', [{ name: 'a/../../x', text: 'x' }], /leads out/],
    ['a symbolic link', [{ name: 'x', type: 'symlink' as const, linkname: '/etc/passwd' }], /symlink/],
    ['a hard link', [{ name: 'x', type: 'link' as const, linkname: 'y' }], /link/],
    ['a device', [{ name: 'x', type: 'character-device' as const }], /character-device/],
    ['the same name twice', [{ name: 'x', text: '1' }, { name: './x', text: '2' }], /twice/],
  ])('refuses %s', async (_what, items: Item[], reason) => {
    await expect(list(gzipSync(await tar(items)))).rejects.toMatchObject({ name: 'ArchiveError', message: expect.stringMatching(reason) as string });
  });

  it('accepts all of that where the content is only passed on', async () => {
    const content = await tar([{ name: '/x', text: '1' }, { name: '/x', text: '2' }, { name: 'l', type: 'symlink', linkname: '/y' }]);
    expect(Object.keys(await list(content, { content: 'any' }))).toEqual(['/x']);
  });

  it.each([
    ['too many entries', { entries: 2 }, /more than 2 entries/],
    ['too large a file', { fileBytes: 99_999 }, /100000 bytes/],
    ['too much content', { totalBytes: 50_000 }, /unpacks to more/],
  ])('refuses %s', async (_what, rules, reason) => {
    await expect(list(gzipSync(await tar(two)), rules)).rejects.toThrow(reason);
  });

  it.each([
    ['cut off', (content: Buffer) => gzipSync(content).subarray(0, 100)],
    ['cut off, not compressed', (content: Buffer) => content.subarray(0, 2_000)],
    ['damaged inside', (content: Buffer) => { const all = gzipSync(content, { level: 0 }); all.fill(7, 400, 600); return all; }],
    ['random bytes', () => Buffer.alloc(5_000, 'nonsense')],
    ['empty', () => Buffer.alloc(0)],
    ['xz', () => Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 1, 2])],
  ])('refuses an archive that is %s', async (_what, make) => {
    await expect(list(make(await tar(two)))).rejects.toMatchObject({ name: 'ArchiveError' });
  });

  it('hands on the failure of the source', async () => {
    const content = gzipSync(await tar(two));
    const broken = Readable.from((async function* () { yield content.subarray(0, 50); throw new Error('connection lost'); })());
    await expect(readArchive(broken, uploadRules, async () => undefined)).rejects.toThrow('connection lost');
    const atOnce = new Readable({ read() { this.destroy(new Error('connection lost')); } });
    await expect(readArchive(atOnce, uploadRules, async () => undefined)).rejects.toThrow('connection lost');
  });

  it('hands on the failure of the reader and lets go of the source', async () => {
    const source = Readable.from([gzipSync(await tar(two))]);
    await expect(readArchive(source, uploadRules, async () => { throw new Error('disk full'); })).rejects.toThrow('disk full');
    expect(source.destroyed).toBe(true);
  });
});

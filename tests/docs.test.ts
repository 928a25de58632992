import { existsSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { configSchema } from '../server/core/config';
import { configMarkdown } from '../server/local/config-docs';

const root = resolve(__dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const pages = ['README.md', 'docs/architecture.md', 'docs/config.md', 'docs/metrics.md', 'docs/nats.md'];

/** Anchor of a heading, as GitHub makes it. */
function anchor(heading: string): string {
  return heading.trim().toLowerCase().replace(/[^\p{L}\p{N} _-]/gu, '').replaceAll(' ', '-');
}

function headingsOf(markdown: string): string[] {
  return [...markdown.replace(/^```[\s\S]*?^```/gm, '').matchAll(/^#+ (.+)$/gm)].map((match) => anchor(match[1] ?? ''));
}

describe('the documentation', () => {
  it('describes the configuration as the schema has it (else: npx tsx server/local/config-docs.ts)', () => {
    expect(read('docs/config.md')).toBe(configMarkdown());
  });

  it('describes every key of the configuration', () => {
    const text = configMarkdown();
    for (const key of Object.keys(configSchema.shape)) expect(text).toContain(`\`${key}`);
  });

  it('gives an example of a configuration that the director accepts', () => {
    const examples = [...read('README.md').matchAll(/^```yaml\n# config\.yml\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? '');
    expect(examples).toHaveLength(1);
    for (const example of examples) expect(configSchema.safeParse(parse(example)).error).toBeUndefined();
  });

  it('draws sequence diagrams without semicolons, which end a statement in Mermaid', () => {
    const diagrams = [...read('docs/architecture.md').matchAll(/^```mermaid\nsequenceDiagram\n([\s\S]*?)^```/gm)].map((match) => match[1] ?? '');
    expect(diagrams.length).toBeGreaterThan(0);
    expect(diagrams.filter((diagram) => diagram.includes(';'))).toEqual([]);
  });

  it.each(pages)('%s links only to what is there', (page) => {
    const markdown = read(page);
    for (const [, target = ''] of markdown.matchAll(/(?<!!)\[[^\]]*\]\(([^)\s]+)\)/g)) {
      if (/^https?:/.test(target)) continue;
      const [path = '', fragment] = target.split('#');
      const file = path === '' ? page : join(dirname(page), path);
      expect(existsSync(join(root, file)), `${page} links to ${target}`).toBe(true);
      if (fragment !== undefined) expect(headingsOf(read(file)), `${page} links to ${target}`).toContain(fragment);
    }
  });
});

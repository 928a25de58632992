import { expect, it } from 'vitest';
import { normalizeConfigContent } from './normalize-content';

it('keeps configs as they were written', () => {
  expect(normalizeConfigContent('cloud', 'azs: [ ] # none\n')).toBe('azs: [ ] # none\n');
});

it('writes release versions of runtime configs as text', () => {
  expect(normalizeConfigContent('runtime', 'releases:\n- {name: dns, version: 1.1}\n- {name: web, version: 1.0.0}\n')).toBe(
    "---\nreleases:\n- name: dns\n  version: '1.1'\n- name: web\n  version: 1.0.0\n",
  );
});

it('writes runtime configs without releases anew too', () => {
  expect(normalizeConfigContent('runtime', 'tags: {team: capture}')).toBe('---\ntags:\n  team: capture\n');
});

it('refuses what is no hash', () => {
  expect(() => normalizeConfigContent('cloud', '- a')).toThrow(expect.objectContaining({ code: 440011, message: 'YAML hash expected' }));
});

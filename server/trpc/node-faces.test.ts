import { expect, it } from 'vitest';
import { createNodeFaces } from './node-faces';

it('gives nodes with letters for names their own letter and hue, in whatever order they started', () => {
  const face = createNodeFaces([{ id: '3', name: 'C' }, { id: '1', name: 'A' }]);
  expect(face('1')).toEqual({ id: '1', name: 'A', letter: 'A', hue: 0 });
  expect(face('3')).toMatchObject({ letter: 'C', hue: 2 });
});

it('gives other names letters by their first start, and each incarnation of a name the same face', () => {
  const face = createNodeFaces([{ id: '1', name: 'east' }, { id: '2', name: 'west' }, { id: '3', name: 'east' }]);
  expect([face('1'), face('2'), face('3')].map(({ letter, hue }) => [letter, hue])).toEqual([['A', 0], ['B', 1], ['A', 0]]);
});

it('has letters for many nodes, and a face for one that nobody remembers', () => {
  const face = createNodeFaces(Array.from({ length: 30 }, (_, index) => ({ id: `${index}`, name: `node-${index}` })));
  expect([face('25'), face('26'), face('27')].map(({ letter }) => letter)).toEqual(['Z', 'AA', 'AB']);
  expect(face('0123456789')).toEqual({ id: '0123456789', name: '01234567', letter: '?', hue: 5 });
});

import { z } from 'zod';

/** How a node is shown everywhere: its letter and one of the fixed hues. */
export const nodeFace = z.object({
  id: z.string(),
  name: z.string(),
  letter: z.string(),
  /** Index of the hue, from 0. */
  hue: z.int(),
});
export type NodeFace = z.infer<typeof nodeFace>;

const hues = 6;

/**
 * Letters and hues of nodes. Incarnations of one name share a face. Names that are single letters keep them; others get
 * letters in the order of `nodes`, which should be that of their first start.
 */
export function createNodeFaces(nodes: readonly { id: string; name: string }[]): (id: string) => NodeFace {
  const names = [...new Set(nodes.map((node) => node.name))];
  const lettered = names.every((name) => /^[A-Z]$/i.test(name));
  const places = new Map(names.map((name, index) => [name, lettered ? name.toUpperCase().charCodeAt(0) - 65 : index]));
  const byId = new Map(nodes.map((node) => [node.id, node.name]));
  return (id) => {
    const name = byId.get(id);
    const place = name === undefined ? undefined : places.get(name);
    if (name === undefined || place === undefined) return { id, name: id.slice(0, 8), letter: '?', hue: hues - 1 };
    return { id, name, letter: lettered ? name.toUpperCase() : letterAt(place), hue: place % hues };
  };
}

function letterAt(index: number): string {
  return index < 26 ? String.fromCharCode(65 + index) : `${letterAt(Math.floor(index / 26) - 1)}${String.fromCharCode(65 + (index % 26))}`;
}

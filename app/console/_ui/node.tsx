import type { ClusterNode, NodeFace } from './api';

/** A node's fixed hue as a colour. */
export function hueOf(face: Pick<NodeFace, 'hue'>): string {
  return `var(--hue-${face.hue})`;
}

/** A node: its letter on its hue. */
export function NodeBadge({ face, label = false }: { face: Pick<NodeFace, 'letter' | 'hue' | 'name' | 'id'>; label?: boolean }) {
  return (
    <span className="inline-flex h-[1lh] items-center gap-1.5 align-top whitespace-nowrap" title={`Node ${face.name} (${face.id})`}>
      <span className="inline-flex h-4 min-w-4 items-center justify-center rounded-[3px] px-0.5 text-[11px] leading-none font-semibold text-[var(--on-hue)]" style={{ background: hueOf(face) }}>
        <span className="sr-only">node </span>
        {face.letter}
      </span>
      {label && face.name !== face.letter && <span>{face.name}</span>}
    </span>
  );
}

/** What a node's state means for its look. */
export const nodeStates: Record<ClusterNode['state'], { word: string; tone: 'ok' | 'work' | 'look' | 'fail' | 'off' }> = {
  starting: { word: 'starting', tone: 'work' },
  ready: { word: 'ready', tone: 'ok' },
  draining: { word: 'draining', tone: 'look' },
  stopped: { word: 'stopped', tone: 'off' },
  lost: { word: 'lost', tone: 'fail' },
};

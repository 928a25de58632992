export const seriesColours = ['var(--series-1)', 'var(--series-2)', 'var(--series-3)'] as const;
/** Told apart without colour, too. */
export const seriesDashes = [undefined, '6 3', '2 3'] as const;

/** How a series is drawn, small. */
export function Swatch({ index, stacked }: { index: number; stacked: boolean }) {
  const colour = seriesColours[index];
  return (
    <svg aria-hidden width="14" height="8" className="shrink-0">
      {stacked ? <rect width="14" height="8" rx="1" fill={colour} fillOpacity="0.45" stroke={colour} /> : <line x1="0" x2="14" y1="4" y2="4" stroke={colour} strokeWidth="2" strokeDasharray={seriesDashes[index]} />}
    </svg>
  );
}

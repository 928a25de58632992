'use client';

import { useId } from 'react';

/** What a deploy may be asked for besides its manifest. */
export interface Flags {
  recreate: boolean;
  fix: boolean;
  skipDrain: boolean;
  canaries: string;
  maxInFlight: string;
}

export const noFlags: Flags = { recreate: false, fix: false, skipDrain: false, canaries: '', maxInFlight: '' };

const boxes = [
  { key: 'recreate', name: 'Recreate every VM' },
  { key: 'fix', name: 'Fix: recreate VMs whose agent is silent' },
  { key: 'skipDrain', name: 'Skip drain' },
] as const;

/** The manifest as text, and the flags. Tab leaves the text; Ctrl-Enter previews from everywhere in it. */
export function DeployForm({ manifest, flags, rows, onManifest, onFlags, onPreview }: { manifest: string; flags: Flags; rows: number; onManifest: (text: string) => void; onFlags: (flags: Flags) => void; onPreview: () => void }) {
  const id = useId();
  return (
    <div
      className="panel mb-6"
      onKeyDown={(event) => {
        if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
        event.preventDefault();
        onPreview();
      }}
    >
      <label htmlFor={id} className="heading flex h-9 items-center border-b px-4">
        Manifest
        <span className="ml-auto font-normal text-faint max-sm:hidden" aria-hidden><kbd className="key">Ctrl</kbd> <kbd className="key">Enter</kbd> previews</span>
      </label>
      <textarea
        id={id}
        className="block w-full resize-y bg-panel px-4 py-3 font-mono text-sm focus-visible:-outline-offset-2"
        rows={rows}
        wrap="off"
        spellCheck={false}
        autoCapitalize="off"
        value={manifest}
        onChange={(event) => onManifest(event.target.value)}
      />
      <fieldset className="flex flex-wrap items-center gap-x-5 gap-y-2 border-t px-4 py-2.5 text-sm">
        <legend className="sr-only">Flags</legend>
        {boxes.map(({ key, name }) => (
          <label key={key} className="flex items-center gap-2 whitespace-nowrap">
            <input type="checkbox" className="size-3.5 accent-(--accent-fill)" checked={flags[key]} onChange={(event) => onFlags({ ...flags, [key]: event.target.checked })} />
            {name}
          </label>
        ))}
        <Amount name="Canaries" value={flags.canaries} onChange={(canaries) => onFlags({ ...flags, canaries })} />
        <Amount name="Max in flight" value={flags.maxInFlight} onChange={(maxInFlight) => onFlags({ ...flags, maxInFlight })} />
      </fieldset>
    </div>
  );
}

function Amount({ name, value, onChange }: { name: string; value: string; onChange: (value: string) => void }) {
  return (
    <label className="flex items-center gap-2 whitespace-nowrap">
      {name}
      <input className="field w-20 text-sm" placeholder="manifest’s" inputMode="numeric" pattern="\d{1,6}%?" title="A number or a percentage such as 20%" value={value} onChange={(event) => onChange(event.target.value.trim())} />
    </label>
  );
}

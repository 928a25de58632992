'use client';

import { Search } from 'lucide-react';
import { useRouter } from 'next/navigation';
import { createContext, use, useCallback, useEffect, useMemo, useRef, useState, type ReactNode } from 'react';
import { Palette } from './palette';
import { places } from './rail';
import { Sheet } from './sheet';

interface Shortcut {
  /** A key, or two after each other: `g o`. */
  keys: string;
  does: string;
  run: () => void;
}

interface Registry {
  add: (shortcut: Shortcut) => () => void;
  openPalette: () => void;
}

const context = createContext<Registry>({ add: () => () => undefined, openPalette: () => undefined });

/** Offers a shortcut while the caller is mounted; the newest one of a key counts. */
export function useShortcut(keys: string, does: string, run: () => void): void {
  const { add } = use(context);
  const latest = useRef(run);
  useEffect(() => {
    latest.current = run;
  });
  useEffect(() => add({ keys, does, run: () => latest.current() }), [add, keys, does]);
}

export function usePalette(): () => void {
  return use(context).openPalette;
}

/** Time between the two keys of a sequence, ms. */
const sequenceMs = 900;

function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement);
}

/** Listens for keys and shows the palette and the list of keys. */
export function ShortcutProvider({ children }: { children: ReactNode }) {
  const router = useRouter();
  const shortcuts = useRef<Shortcut[]>([]);
  const [shown, setShown] = useState<'palette' | 'keys'>();
  const [listed, setListed] = useState<Shortcut[]>([]);
  const registry = useMemo<Registry>(
    () => ({
      add: (shortcut) => {
        shortcuts.current.push(shortcut);
        return () => void (shortcuts.current = shortcuts.current.filter((one) => one !== shortcut));
      },
      openPalette: () => setShown('palette'),
    }),
    [],
  );
  const showKeys = useCallback(() => {
    setListed([...shortcuts.current]);
    setShown('keys');
  }, []);

  useEffect(() => {
    let first: { key: string; at: number } | undefined;
    const onKey = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        return setShown('palette');
      }
      if (event.metaKey || event.ctrlKey || event.altKey || event.defaultPrevented || isTyping(event.target)) return;
      if (event.key === '?') return showKeys();
      const pressed = first && performance.now() - first.at < sequenceMs ? `${first.key} ${event.key}` : event.key;
      first = event.key === 'g' ? { key: 'g', at: performance.now() } : undefined;
      const found = shortcuts.current.findLast((one) => one.keys === pressed);
      if (!found) return;
      event.preventDefault();
      found.run();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [showKeys]);

  useEffect(() => {
    const ends = places.map((place) => registry.add({ keys: `g ${place.key}`, does: `Go to ${place.name.toLowerCase()}`, run: () => router.push(place.href) }));
    return () => ends.forEach((end) => end());
  }, [registry, router]);

  return (
    <context.Provider value={registry}>
      {children}
      {shown === 'palette' && <Palette onClose={() => setShown(undefined)} onShowKeys={showKeys} />}
      {shown === 'keys' && <Keys shortcuts={listed} onClose={() => setShown(undefined)} />}
    </context.Provider>
  );
}

function Keys({ shortcuts, onClose }: { shortcuts: Shortcut[]; onClose: () => void }) {
  const fixed = [
    { keys: 'Ctrl K', does: 'Search and commands (⌘K on a Mac)' },
    { keys: '?', does: 'This list' },
  ];
  const unique = [...fixed, ...new Map(shortcuts.map((one) => [one.keys, one])).values()];
  return (
    <Sheet title="Keys" onClose={onClose}>
      <dl className="grid max-h-[50vh] grid-cols-1 gap-x-8 gap-y-2 overflow-y-auto px-5 py-4 sm:grid-cols-2">
        {unique.map((one) => (
          <div key={one.keys} className="flex items-center justify-between gap-4">
            <dd className="order-first text-soft">{one.does}</dd>
            <dt className="flex shrink-0 gap-1">
              {one.keys.split(' ').map((key) => (
                <kbd key={key} className="key">
                  {key}
                </kbd>
              ))}
            </dt>
          </div>
        ))}
      </dl>
      <div className="flex justify-end border-t px-5 py-3">
        <button type="button" className="button" onClick={onClose}>
          Close
        </button>
      </div>
    </Sheet>
  );
}

/** Opens the palette with a click. */
export function PaletteButton() {
  const open = usePalette();
  return (
    <button type="button" className="button quiet" onClick={open} title="Search and commands (Ctrl K)">
      <kbd className="key max-sm:hidden">Ctrl K</kbd>
      <Search aria-hidden size={15} className="sm:hidden" />
      <span className="sr-only">Search and commands</span>
    </button>
  );
}

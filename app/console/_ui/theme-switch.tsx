'use client';

import { Monitor, Moon, Sun } from 'lucide-react';
import { useSyncExternalStore } from 'react';

type Theme = 'system' | 'light' | 'dark';
const order: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' };
const icons = { system: Monitor, light: Sun, dark: Moon };
const changed = new Set<() => void>();

function read(): Theme {
  const chosen = document.documentElement.dataset.theme;
  return chosen === 'light' || chosen === 'dark' ? chosen : 'system';
}

/** Chooses the theme; `system` follows the machine's. */
export function chooseTheme(theme: Theme): void {
  if (theme === 'system') {
    localStorage.removeItem('directorate-theme');
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem('directorate-theme', theme);
    document.documentElement.dataset.theme = theme;
  }
  for (const tell of changed) tell();
}

/** Steps through system, light and dark. */
export function ThemeSwitch() {
  const theme = useSyncExternalStore(
    (tell) => {
      changed.add(tell);
      return () => changed.delete(tell);
    },
    read,
    (): Theme => 'system',
  );
  const Icon = icons[theme];
  return (
    <button type="button" className="button quiet" title={`Theme: ${theme}`} onClick={() => chooseTheme(order[theme])}>
      <Icon aria-hidden size={15} />
      <span className="sr-only">Theme: {theme}. Change it.</span>
    </button>
  );
}

import type { ReactNode } from 'react';
import { ApiProvider } from './api';
import { Gate } from './gate';
import { Rail } from './rail';
import { PaletteButton, ShortcutProvider } from './shortcuts';
import { StaleBanner } from './stale-banner';
import { ClusterStrip } from './strip';
import { ThemeSwitch } from './theme-switch';
import { UserMenu } from './user-menu';

/** What is around every page: places at the left, the cluster above. */
export function Frame({ children }: { children: ReactNode }) {
  return (
    <ApiProvider>
      <ShortcutProvider>
        <a href="#content" className="sr-only rounded bg-panel px-3 py-2 focus:not-sr-only focus:fixed focus:top-2 focus:left-2 focus:z-50">
          Skip to content
        </a>
        <div className="flex h-dvh overflow-hidden max-md:flex-col">
          <Rail />
          <div className="flex min-h-0 min-w-0 flex-1 flex-col">
            <div className="flex h-11 shrink-0 items-center justify-between gap-3 border-b bg-panel px-3 sm:px-5">
              <ClusterStrip />
              <div className="flex shrink-0 items-center">
                <PaletteButton />
                <span className="max-sm:hidden">
                  <ThemeSwitch />
                </span>
                <UserMenu />
              </div>
            </div>
            <StaleBanner />
            <main id="content" tabIndex={-1} className="relative min-h-0 flex-1 overflow-y-auto px-4 pt-5 pb-10 outline-none sm:px-6">
              <div className="h-full max-w-[2200px]">
                <Gate>{children}</Gate>
              </div>
            </main>
          </div>
        </div>
      </ShortcutProvider>
    </ApiProvider>
  );
}

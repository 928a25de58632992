'use client';

import { Boxes, CalendarClock, FileCog, HardDrive, HeartPulse, LayoutDashboard, Layers, ListChecks, Network, Package, RadioTower } from 'lucide-react';
import Link from 'next/link';
import { usePathname } from 'next/navigation';

/** The console's places; `key` follows `g`. */
export const places = [
  { href: '/console', name: 'Overview', key: 'o', icon: LayoutDashboard },
  { href: '/console/deployments', name: 'Deployments', key: 'd', icon: Boxes },
  { href: '/console/tasks', name: 'Tasks', key: 't', icon: ListChecks },
  { href: '/console/health', name: 'Health', key: 'h', icon: HeartPulse },
  { href: '/console/agents', name: 'Agents', key: 'a', icon: RadioTower },
  { href: '/console/schedule', name: 'Schedule', key: 'e', icon: CalendarClock },
  { href: '/console/cluster', name: 'Cluster', key: 'c', icon: Network },
  { href: '/console/disks', name: 'Disks', key: 'i', icon: HardDrive },
  { href: '/console/releases', name: 'Releases', key: 'r', icon: Package },
  { href: '/console/stemcells', name: 'Stemcells', key: 's', icon: Layers },
  { href: '/console/configs', name: 'Configs', key: 'f', icon: FileCog },
] as const;

function isAt(path: string, href: string): boolean {
  return href === '/console' ? path === href : path === href || path.startsWith(`${href}/`);
}

/** The list of places: at the left, and at the bottom of a narrow screen. */
export function Rail() {
  const path = usePathname();
  return (
    <nav aria-label="Console" className="flex border-line bg-panel max-md:order-last max-md:justify-between max-md:border-t md:w-14 md:shrink-0 md:flex-col md:border-r xl:w-44">
      <Link href="/console" className="hidden h-11 items-center gap-2.5 px-[17px] font-semibold tracking-[-0.01em] md:flex" title="Directorate">
        <svg aria-hidden viewBox="0 0 20 20" className="size-5 shrink-0 text-accent">
          <path d="M10 1.8 18.2 10 10 18.2 1.8 10Z" fill="none" stroke="currentColor" strokeWidth="1.8" strokeLinejoin="round" />
          <path d="M10 6.6 13.4 10 10 13.4 6.6 10Z" fill="currentColor" />
        </svg>
        <span className="max-xl:sr-only">Directorate</span>
      </Link>
      <ul className="flex gap-px max-md:w-full max-md:justify-between max-md:gap-0 max-md:p-1 md:flex-col md:px-2 md:pt-1">
        {places.map(({ href, name, icon: Icon, key }) => {
          const current = isAt(path, href);
          return (
            <li key={href}>
              <Link
                href={href}
                aria-current={current ? 'page' : undefined}
                title={`${name} (g ${key})`}
                className={`flex items-center gap-2.5 rounded-[5px] px-3 max-md:h-9 max-md:gap-1.5 max-md:px-1 max-md:text-sm md:h-8 ${current ? 'bg-accent-wash font-medium text-accent' : 'text-soft hover:bg-raised hover:text-ink'}`}
              >
                <Icon aria-hidden size={16} strokeWidth={1.9} className="shrink-0" />
                <span className={current ? 'md:max-xl:sr-only' : 'max-xl:sr-only'}>{name}</span>
              </Link>
            </li>
          );
        })}
      </ul>
    </nav>
  );
}

'use client';

import { useQuery } from '@tanstack/react-query';
import { ArrowRight, BellRing, Boxes, Keyboard, ListChecks, Moon, Search, Sun, type LucideIcon } from 'lucide-react';
import { useRouter } from 'next/navigation';
import { useId, useState } from 'react';
import { useTRPC } from './api';
import { places } from './rail';
import { Sheet } from './sheet';
import { chooseTheme } from './theme-switch';

interface Command {
  id: string;
  name: string;
  hint: string;
  icon: LucideIcon;
  run: () => void;
}

const shownAtMost = 14;

/** Go to anything, do anything: type a part of a name, a task's number, or a command. */
export function Palette({ onClose, onShowKeys }: { onClose: () => void; onShowKeys: () => void }) {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  const listId = useId();
  const commands = useCommands(text, onShowKeys);
  const current = Math.min(at, Math.max(0, commands.length - 1));
  const run = (command: Command | undefined) => {
    if (!command) return;
    onClose();
    command.run();
  };
  return (
    <Sheet title="Search and commands" hideTitle onClose={onClose}>
      <div className="flex items-center gap-2.5 border-b px-4">
        <Search aria-hidden size={15} className="text-faint" />
        <input
          role="combobox"
          aria-expanded
          aria-controls={listId}
          aria-activedescendant={commands[current] ? `${listId}-${commands[current].id}` : undefined}
          aria-label="Search and commands"
          autoFocus
          className="h-11 w-full bg-transparent text-lg outline-none"
          placeholder="Page, deployment, task number or command"
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setAt(0);
          }}
          onKeyDown={(event) => {
            if (event.key === 'ArrowDown') setAt((current + 1) % Math.max(1, commands.length));
            else if (event.key === 'ArrowUp') setAt((current - 1 + commands.length) % Math.max(1, commands.length));
            else if (event.key === 'Enter') run(commands[current]);
            else return;
            event.preventDefault();
          }}
        />
      </div>
      <ul id={listId} role="listbox" aria-label="Results" className="max-h-[46vh] overflow-y-auto p-1.5">
        {commands.map((command, index) => (
          <li
            key={command.id}
            id={`${listId}-${command.id}`}
            role="option"
            aria-selected={index === current}
            className={`flex h-8 cursor-pointer items-center gap-3 rounded-[5px] px-3 ${index === current ? 'bg-accent-wash text-accent' : ''}`}
            onPointerMove={() => setAt(index)}
            onClick={() => run(command)}
          >
            <command.icon aria-hidden size={15} className="shrink-0" />
            <span className="truncate">{command.name}</span>
            <span className={`ml-auto shrink-0 text-sm ${index === current ? '' : 'text-faint'}`}>{command.hint}</span>
          </li>
        ))}
      </ul>
      {commands.length === 0 && <p className="px-4 py-6 text-center text-soft">Nothing is called “{text}”.</p>}
    </Sheet>
  );
}

function useCommands(text: string, onShowKeys: () => void): Command[] {
  const router = useRouter();
  const trpc = useTRPC();
  const { data: deployments } = useQuery(trpc.deployments.list.queryOptions(undefined, { staleTime: 10_000 }));
  const number = /^(?:task\s+)?#?(\d+)$/i.exec(text.trim())?.[1];
  const all: Command[] = [
    ...places.map((place) => ({ id: place.href.replaceAll('/', '-'), name: place.name, hint: `g ${place.key}`, icon: place.icon, run: () => router.push(place.href) })),
    ...(deployments ?? []).map((one) => ({ id: `deployment-${one.name}`, name: one.name, hint: 'deployment', icon: Boxes, run: () => router.push(`/console/deployments/${encodeURIComponent(one.name)}`) })),
    { id: 'failed', name: 'Failed tasks', hint: 'tasks', icon: ArrowRight, run: () => router.push('/console/tasks?state=error') },
    { id: 'running', name: 'Running tasks', hint: 'tasks', icon: ArrowRight, run: () => router.push('/console/tasks?state=processing') },
    { id: 'incidents', name: 'Open incidents', hint: 'health', icon: BellRing, run: () => router.push('/console/health') },
    { id: 'alerts', name: 'Alerts', hint: 'health', icon: BellRing, run: () => router.push('/console/health#alerts') },
    { id: 'plugins', name: 'Plugins and their deliveries', hint: 'health', icon: BellRing, run: () => router.push('/console/health#plugins') },
    { id: 'resurrection', name: 'Turn resurrection on or off', hint: 'health', icon: BellRing, run: () => router.push('/console/health?resurrection=ask') },
    { id: 'silent', name: 'Unresponsive agents', hint: 'agents', icon: ArrowRight, run: () => router.push('/console/agents?status=unresponsive') },
    { id: 'unmanaged', name: 'Unmanaged agents', hint: 'agents', icon: ArrowRight, run: () => router.push('/console/agents?status=unmanaged') },
    { id: 'move-bus', name: 'Move the bus', hint: 'cluster', icon: ArrowRight, run: () => router.push('/console/cluster?move=new') },
    { id: 'light', name: 'Light theme', hint: 'appearance', icon: Sun, run: () => chooseTheme('light') },
    { id: 'dark', name: 'Dark theme', hint: 'appearance', icon: Moon, run: () => chooseTheme('dark') },
    { id: 'system', name: 'Theme of the system', hint: 'appearance', icon: Sun, run: () => chooseTheme('system') },
    { id: 'keys', name: 'Show all keys', hint: '?', icon: Keyboard, run: onShowKeys },
  ];
  const wanted = text.trim().toLowerCase();
  const found = all.filter((command) => command.name.toLowerCase().includes(wanted)).toSorted((a, b) => a.name.toLowerCase().indexOf(wanted) - b.name.toLowerCase().indexOf(wanted));
  const task: Command[] = number === undefined ? [] : [{ id: `task-${number}`, name: `Task ${number}`, hint: 'open', icon: ListChecks, run: () => router.push(`/console/tasks/${number}`) }];
  return [...task, ...found].slice(0, shownAtMost);
}

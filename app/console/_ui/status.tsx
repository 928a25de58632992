import { Ban, Check, CircleAlert, CircleDashed, CircleDot, CircleHelp, CirclePause, CircleStop, CircleX, Clock, LoaderCircle, Minus, Unplug, X, type LucideIcon } from 'lucide-react';
import type { Instance, StageStep, TaskState } from './api';

export type Tone = 'ok' | 'work' | 'look' | 'fail' | 'off';

export interface Look {
  icon: LucideIcon;
  word: string;
  tone: Tone;
  spins?: boolean;
}

export const toneText: Record<Tone, string> = { ok: 'text-ok', work: 'text-work', look: 'text-look', fail: 'text-fail', off: 'text-faint' };
export const toneWash: Record<Tone, string> = { ok: 'bg-ok-wash', work: 'bg-work-wash', look: 'bg-look-wash', fail: 'bg-fail-wash', off: 'bg-raised' };

export const taskLooks: Record<TaskState, Look> = {
  queued: { icon: Clock, word: 'queued', tone: 'off' },
  processing: { icon: LoaderCircle, word: 'processing', tone: 'work', spins: true },
  cancelling: { icon: LoaderCircle, word: 'cancelling', tone: 'look', spins: true },
  cancelled: { icon: Ban, word: 'cancelled', tone: 'off' },
  done: { icon: Check, word: 'done', tone: 'ok' },
  error: { icon: X, word: 'error', tone: 'fail' },
  timeout: { icon: Clock, word: 'timeout', tone: 'fail' },
};

export const lifeLooks: Record<Instance['life'], Look> = {
  running: { icon: Check, word: 'running', tone: 'ok' },
  failing: { icon: CircleX, word: 'failing', tone: 'fail' },
  starting: { icon: LoaderCircle, word: 'starting', tone: 'work', spins: true },
  stopped: { icon: CirclePause, word: 'stopped', tone: 'off' },
  detached: { icon: CircleStop, word: 'detached', tone: 'off' },
  creating: { icon: LoaderCircle, word: 'creating VM', tone: 'work', spins: true },
  deleting: { icon: Minus, word: 'deleting VM', tone: 'work' },
  silent: { icon: Unplug, word: 'agent silent', tone: 'fail' },
  missing: { icon: CircleDashed, word: 'no VM', tone: 'look' },
};

export const stepLooks: Record<StageStep['state'], Look> = {
  working: { icon: LoaderCircle, word: 'working', tone: 'work', spins: true },
  done: { icon: Check, word: 'done', tone: 'ok' },
  failed: { icon: X, word: 'failed', tone: 'fail' },
};

export const toneIcons: Record<Tone, LucideIcon> = { ok: Check, work: CircleDot, look: CircleAlert, fail: CircleX, off: CircleHelp };

/** State as icon and word, never colour alone. */
export function Status({ look, wordless = false, chip = false }: { look: Look; wordless?: boolean; chip?: boolean }) {
  const Icon = look.icon;
  return (
    <span className={`inline-flex items-center gap-1.5 align-top whitespace-nowrap ${toneText[look.tone]} ${chip ? `rounded-[4px] px-2 py-0.5 font-medium ${toneWash[look.tone]}` : ''}`}>
      <Icon aria-hidden size={chip ? 14 : 13} strokeWidth={2.4} className={look.spins ? 'spin shrink-0' : 'shrink-0'} />
      <span className={wordless ? 'sr-only' : ''}>{look.word}</span>
    </span>
  );
}

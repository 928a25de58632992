import { Check, CirclePause, Minus, TriangleAlert } from 'lucide-react';
import type { Slot } from '../../_ui/api';
import { taskLooks, type Look } from '../../_ui/status';

const looks: Record<Slot['outcome'], Look> = {
  fired: { icon: Check, word: 'fired', tone: 'ok' },
  'no work': { icon: Minus, word: 'nothing to do', tone: 'off' },
  missed: { icon: TriangleAlert, word: 'missed', tone: 'look' },
  paused: { icon: CirclePause, word: 'paused', tone: 'off' },
};

/** What became of a slot: the state of its task, where it made one that is still known. */
export function slotLook(slot: Slot): Look {
  return slot.outcome === 'fired' && slot.task ? taskLooks[slot.task.state] : looks[slot.outcome];
}

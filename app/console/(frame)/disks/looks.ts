import { Link2, Link2Off, LoaderCircle } from 'lucide-react';
import type { Disk } from '../../_ui/api';
import type { Look } from '../../_ui/status';

export const attachmentLooks = {
  attached: { icon: Link2, word: 'attached', tone: 'ok' },
  changing: { icon: LoaderCircle, word: 'changing', tone: 'work', spins: true },
  detached: { icon: Link2Off, word: 'detached', tone: 'off' },
} satisfies Record<Disk['attachment'], Look>;

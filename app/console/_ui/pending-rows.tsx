import { ArrowUp } from 'lucide-react';

/** Shows what came since, when somebody wants to see it. */
export function PendingRows({ pending, show }: { pending: number; show: () => void }) {
  return (
    <div aria-live="polite">
      {pending > 0 && (
        <button type="button" className="flex h-8 w-full items-center justify-center gap-1.5 border-b bg-accent-wash text-sm font-medium text-accent" onClick={show}>
          <ArrowUp aria-hidden size={13} /> {pending} {pending === 1 ? 'update' : 'updates'} pending
        </button>
      )}
    </div>
  );
}

'use client';

import { Check, Copy } from 'lucide-react';
import { useState } from 'react';

/** First and last characters of an id. */
export function shortenId(id: string): string {
  return id.length <= 14 ? id : `${id.slice(0, 8)}…${id.slice(-4)}`;
}

/** An id, shortened in the middle; whole on hover and when copied. */
export function ShortId({ id }: { id: string }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    await navigator.clipboard.writeText(id);
    setCopied(true);
    setTimeout(() => setCopied(false), 1_200);
  };
  return (
    <button type="button" title={`${id} – copy`} onClick={() => void copy()} className="mono group inline-flex whitespace-nowrap items-center gap-1 rounded-[3px] hover:text-accent">
      {shortenId(id)}
      {copied ? <Check aria-hidden size={11} className="text-ok" /> : <Copy aria-hidden size={11} className="opacity-0 group-hover:opacity-100 group-focus-visible:opacity-100" />}
      <span className="sr-only" aria-live="polite">{copied ? 'copied' : 'copy'}</span>
    </button>
  );
}

'use client';

import { useEffect, useRef, type ReactNode } from 'react';
import { createPortal } from 'react-dom';

/** A modal dialog; the browser keeps focus inside and gives it back. Mounted means open. */
export function Sheet({ title, onClose, children, hideTitle = false }: { title: string; onClose: () => void; children: ReactNode; hideTitle?: boolean }) {
  const ref = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const dialog = ref.current;
    const before = document.activeElement;
    dialog?.showModal();
    return () => {
      dialog?.close();
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return createPortal(
    <dialog
      ref={ref}
      className="sheet"
      aria-label={title}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onClick={(event) => {
        if (event.target === ref.current) onClose();
      }}
      onKeyDown={(event) => event.stopPropagation()}
    >
      {!hideTitle && <h2 className="border-b px-5 py-3 text-lg font-semibold">{title}</h2>}
      {children}
    </dialog>,
    document.body,
  );
}

/** Asks before something with consequences; `calm` when it harms nothing. */
export function Confirm({ title, children, action, busy, calm = false, error, onConfirm, onClose }: { title: string; children: ReactNode; action: string; busy: boolean; calm?: boolean; error?: string | undefined; onConfirm: () => void; onClose: () => void }) {
  return (
    <Sheet title={title} onClose={onClose}>
      <div className="px-5 py-4 text-soft">{children}</div>
      {error !== undefined && (
        <p role="alert" className="mx-5 mb-3 rounded bg-fail-wash px-3 py-2 text-sm text-fail">
          {error}
        </p>
      )}
      <div className="flex justify-end gap-2 border-t px-5 py-3">
        <button type="button" className="button" onClick={onClose}>
          Back
        </button>
        <button type="button" className={`button ${calm ? 'primary' : 'danger solid'}`} disabled={busy} onClick={onConfirm}>
          {action}
        </button>
      </div>
    </Sheet>
  );
}

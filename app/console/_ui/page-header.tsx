import type { ReactNode } from 'react';

/** Title, state and key facts of a page, and what can be done there. */
export function PageHeader({ title, state, facts, actions, up }: { title: ReactNode; state?: ReactNode; facts?: ReactNode; actions?: ReactNode; up?: ReactNode }) {
  return (
    <header className="mb-4 flex flex-wrap items-start justify-between gap-x-6 gap-y-3">
      <div className="min-w-0">
        {up && <div className="mb-0.5 text-sm text-faint">{up}</div>}
        <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
          <h1 className="text-xl font-semibold tracking-[-0.01em] break-words">{title}</h1>
          {state}
        </div>
        {facts && <dl className="mt-1 flex flex-wrap gap-x-5 gap-y-0.5 text-sm text-soft">{facts}</dl>}
      </div>
      {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
    </header>
  );
}

/** One key fact. */
export function Fact({ name, children }: { name: string; children: ReactNode }) {
  return (
    <div className="flex items-center gap-1.5">
      <dt className="text-faint">{name}</dt>
      <dd className="text-ink">{children}</dd>
    </div>
  );
}

/** A titled part of a page. */
export function Section({ title, aside, children, id }: { title: string; aside?: ReactNode; children: ReactNode; id?: string }) {
  return (
    <section aria-label={title} id={id} className="mb-6">
      <div className="mb-2 flex items-baseline justify-between gap-4">
        <h2 className="heading">{title}</h2>
        {aside && <div className="text-sm text-faint">{aside}</div>}
      </div>
      {children}
    </section>
  );
}

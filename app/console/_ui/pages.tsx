/** Leads to the first page and to the next one; nothing where one page is all. */
export function Pages({ first, next, names }: { first: (() => void) | undefined; next: (() => void) | undefined; names: { first: string; next: string; atFirst: string; atLast: string } }) {
  if (!first && !next) return null;
  return (
    <nav aria-label="Pages" className="mt-3 flex justify-end gap-2">
      <button type="button" className="button" disabled={!first} title={first ? undefined : names.atFirst} onClick={first}>
        {names.first}
      </button>
      <button type="button" className="button" disabled={!next} title={next ? undefined : names.atLast} onClick={next}>
        {names.next}
      </button>
    </nav>
  );
}

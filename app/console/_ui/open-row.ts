import type { KeyboardEvent, MouseEvent } from 'react';

/** What a table row needs that opens something: a click beside its links and buttons, or Enter while it has the focus. */
export function openRow(open: () => void) {
  return {
    'data-row': true,
    tabIndex: 0,
    onClick: (event: MouseEvent<HTMLElement>) => {
      if (!(event.target instanceof HTMLElement && event.target.closest('a, button'))) open();
    },
    onKeyDown: (event: KeyboardEvent<HTMLElement>) => {
      if (event.key === 'Enter' && event.target === event.currentTarget) open();
    },
  };
}

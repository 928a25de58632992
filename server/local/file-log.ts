import { appendFileSync } from 'node:fs';

/** Writes log lines to a file; each is there when the call returns. */
export function fileLog(path: string): (line: string) => void {
  return (line) => appendFileSync(path, line, { mode: 0o640 });
}

/** Progress on a terminal or in a log: one line per step, with its time. */
export class Progress {
  readonly #write: (text: string) => void;
  readonly #live: boolean;
  readonly #running = new Map<object, { what: string; detail: string; since: number }>();
  #drawn = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(out: { write(text: string): unknown; isTTY?: boolean }) {
    this.#write = (text) => void out.write(text);
    this.#live = out.isTTY === true;
  }

  /** Runs `work` and prints the step with its time; `progress` shows what it is at (on terminals only). */
  readonly step = async <T>(what: string, work: (progress: (detail: string) => void) => Promise<T>): Promise<T> => {
    const entry = { what, detail: '', since: performance.now() };
    this.#running.set(entry, entry);
    this.#redraw();
    try {
      const result = await work((detail) => {
        entry.detail = detail;
        this.#redraw();
      });
      this.#end(entry, this.#color('32', '✓'));
      return result;
    } catch (error) {
      this.#end(entry, this.#color('31', '✗'));
      throw error;
    }
  };

  print(text: string): void {
    this.#erase();
    this.#write(`${text}\n`);
    this.#redraw();
  }

  /** Colours for terminals only. */
  #color(code: string, text: string): string {
    return this.#live ? `\u001B[${code}m${text}\u001B[0m` : text;
  }

  dim(text: string): string {
    return this.#color('2', text);
  }

  bold(text: string): string {
    return this.#color('1', text);
  }

  #end(entry: { what: string; since: number }, mark: string): void {
    this.#running.delete(entry);
    const seconds = ((performance.now() - entry.since) / 1000).toFixed(1);
    this.print(`  ${mark} ${entry.what.padEnd(48)} ${this.dim(`${seconds} s`)}`);
  }

  #redraw(): void {
    if (!this.#live) return;
    this.#erase();
    const width = (process.stdout.columns || 80) - 1;
    for (const { what, detail, since } of this.#running.values()) {
      const seconds = Math.floor((performance.now() - since) / 1000);
      const line = `  … ${what}${seconds > 0 ? ` ${seconds} s` : ''}${detail ? `  ${detail}` : ''}`;
      this.#write(`${line.slice(0, width)}\n`);
    }
    this.#drawn = this.#running.size;
    if (this.#running.size > 0) this.#timer ??= setInterval(() => this.#redraw(), 1_000).unref();
    else {
      clearInterval(this.#timer);
      this.#timer = undefined;
    }
  }

  #erase(): void {
    if (this.#drawn > 0) this.#write(`\u001B[${this.#drawn}A\u001B[0J`);
    this.#drawn = 0;
  }
}

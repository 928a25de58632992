import type { RenderedJob } from './render-job';

/** Rendered jobs by the hash of their inputs; the least recently used go when the contents exceed `maxBytes`. */
export class RenderCache {
  readonly #maxBytes: number;
  readonly #entries = new Map<string, { job: RenderedJob; bytes: number }>();
  #bytes = 0;

  constructor(maxBytes = 64 * 1024 * 1024) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  find(key: string): RenderedJob | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    return entry.job;
  }

  add(key: string, job: RenderedJob): void {
    const bytes = sizeOf(key, job);
    if (bytes > this.#maxBytes) return;
    this.#remove(key);
    this.#entries.set(key, { job, bytes });
    this.#bytes += bytes;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#remove(oldest);
    }
  }

  clear(): void {
    this.#entries.clear();
    this.#bytes = 0;
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    this.#bytes -= entry.bytes;
  }
}

/** Contents and names, with an allowance for the objects around them. */
function sizeOf(key: string, job: RenderedJob): number {
  const files = job.files.reduce((sum, { src, dest, content }) => sum + content.length + 2 * (src.length + dest.length) + 300, 0);
  return 2 * key.length + job.monit.length + files + 300;
}

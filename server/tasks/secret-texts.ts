/** Shorter texts are no secrets, and would be found everywhere. */
const shortest = 6;

interface Secret {
  text: string;
  shown: string;
}

/**
 * Texts that nobody may read in what an attempt logs and reports, whoever repeats them: a CPI in its answer, a template in its error.
 * Known to the attempt that has read them; a later one reads them again before it uses them.
 */
export class SecretTexts {
  /** By their first characters: looking for all of them costs no more than looking for one. */
  readonly #byStart = new Map<string, Secret[]>();

  /** From now on `shown` stands for `text`, also where it is written in JSON or line by line. */
  add(text: string, shown: string): void {
    for (const form of formsOf(text)) {
      const start = form.slice(0, shortest);
      const known = this.#byStart.get(start) ?? [];
      if (known.some((secret) => secret.text === form)) continue;
      // Longer ones first: they may begin with a shorter one.
      this.#byStart.set(start, [...known, { text: form, shown }].sort((a, b) => b.text.length - a.text.length));
    }
  }

  /** Every text inside a JSON value; `shown` names the value. */
  addAll(value: unknown, shown: string): void {
    if (typeof value === 'string') this.add(value, shown);
    else if (typeof value === 'object' && value !== null) for (const item of Object.values(value)) this.addAll(item, shown);
  }

  /** The text without secrets. */
  clean(text: string): string {
    if (this.#byStart.size === 0) return text;
    let cleaned = '';
    let copied = 0;
    for (let at = 0; at + shortest <= text.length; at++) {
      const found = this.#byStart.get(text.slice(at, at + shortest))?.find((secret) => text.startsWith(secret.text, at));
      if (!found) continue;
      cleaned += text.slice(copied, at) + found.shown;
      copied = at + found.text.length;
      at = copied - 1;
    }
    return copied === 0 ? text : cleaned + text.slice(copied);
  }
}

/** As it is, as it stands in JSON, and its lines but for the headings of PEM. */
function formsOf(text: string): string[] {
  const trimmed = text.trim();
  const lines = trimmed.includes('\n') ? trimmed.split('\n').filter((line) => !line.startsWith('-----')) : [];
  return [...new Set([text, trimmed, JSON.stringify(trimmed).slice(1, -1), ...lines])].filter((form) => form.length >= shortest);
}

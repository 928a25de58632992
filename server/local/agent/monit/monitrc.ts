/**
 * The part of monit's control file that BOSH releases use (https://mmonit.com/monit/documentation/monit.html):
 *
 *     check process NAME with pidfile PATH
 *       start program "COMMAND" [as uid U and gid G] [with timeout N seconds]
 *       stop program "COMMAND" …
 *       group NAME
 *       depends on NAME[, NAME…]
 *
 * Tests (`if … then …`), checks of anything but processes and the like are left out; `ignored` tells which.
 */
export interface MonitProgram {
  /** Program and arguments. */
  command: string[];
  timeoutMs: number;
}

export interface MonitProcess {
  name: string;
  pidfile: string;
  start: MonitProgram;
  stop: MonitProgram;
  group: string;
  dependsOn: string[];
}

export interface Monitrc {
  processes: MonitProcess[];
  ignored: string[];
}

const defaultTimeoutMs = 30_000;

interface Token {
  text: string;
  quoted: boolean;
  line: number;
}

/** Parses a control file; throws with the line when a process cannot be supervised from it. */
export function parseMonitrc(text: string): Monitrc {
  const reader = new Reader(tokenize(text));
  const result: Monitrc = { processes: [], ignored: [] };
  for (let token = reader.take(); token !== undefined; token = reader.take()) {
    if (isWord(token, 'check')) {
      const kind = reader.take();
      if (kind !== undefined && isWord(kind, 'process')) {
        result.processes.push(parseProcess(reader, result.ignored));
        continue;
      }
      result.ignored.push(`line ${token.line}: check ${kind?.text ?? ''}`);
      reader.skipTo(['check', 'set', 'include']);
    } else {
      result.ignored.push(`line ${token.line}: ${token.text}`);
      reader.skipTo(['check', 'set', 'include']);
    }
  }
  return result;
}

function parseProcess(reader: Reader, ignored: string[]): MonitProcess {
  const name = reader.expect('a process name');
  reader.skipWords(['with']);
  const how = reader.take();
  if (how === undefined || !isWord(how, 'pidfile')) throw new Error(`line ${name.line}: process '${name.text}' has no pidfile; only processes with a pidfile can be supervised`);
  const found: Partial<Pick<MonitProcess, 'start' | 'stop'>> & { group: string; dependsOn: string[] } = { group: '', dependsOn: [] };
  const pidfile = reader.expect('the path of the pidfile').text;
  for (let token = reader.peek(); token !== undefined && !isWord(token, 'check'); token = reader.peek()) {
    reader.take();
    if (isWord(token, 'start') || isWord(token, 'stop')) found[isWord(token, 'start') ? 'start' : 'stop'] = parseProgram(reader);
    else if (isWord(token, 'group')) found.group = reader.expect('a group').text;
    else if (isWord(token, 'depends')) found.dependsOn.push(...parseNames(reader));
    else if (isWord(token, 'if')) ignored.push(`line ${token.line}: if ${skipTest(reader)}`);
    else skipOption(reader, token, ignored);
  }
  if (found.start === undefined || found.stop === undefined) throw new Error(`line ${name.line}: process '${name.text}' has no ${found.start === undefined ? 'start' : 'stop'} program`);
  return { name: name.text, pidfile, start: found.start, stop: found.stop, group: found.group, dependsOn: found.dependsOn };
}

function parseProgram(reader: Reader): MonitProgram {
  reader.skipWords(['program', '=']);
  const command = splitCommand(reader.expect('a program').text);
  let timeoutMs = defaultTimeoutMs;
  for (let token = reader.peek(); token !== undefined; token = reader.peek()) {
    if (isWord(token, 'as') || isWord(token, 'and') || isWord(token, 'with')) reader.take();
    else if (isWord(token, 'uid') || isWord(token, 'gid')) {
      reader.take();
      reader.expect('a user or group');
    } else if (isWord(token, 'timeout')) {
      reader.take();
      const seconds = Number(reader.expect('a number of seconds').text);
      if (!Number.isFinite(seconds)) throw new Error(`line ${token.line}: the timeout is not a number of seconds`);
      timeoutMs = seconds * 1000;
      reader.skipWords(['seconds', 'second']);
    } else break;
  }
  return { command, timeoutMs };
}

function parseNames(reader: Reader): string[] {
  reader.skipWords(['on']);
  const names: string[] = [];
  do {
    names.push(...reader.expect('a process name').text.split(',').filter((name) => name !== ''));
  } while (reader.previousEndsWithComma() || reader.skipWords([',']));
  return names;
}

/** Skips `… then ACTION [else [if …] [then] ACTION]` and returns its first words for the log. */
function skipTest(reader: Reader): string {
  const words: string[] = [];
  for (let token = reader.take(); token !== undefined && !isWord(token, 'then'); token = reader.take()) words.push(token.text);
  skipAction(reader);
  while (reader.skipWords(['else'])) {
    if (['if', 'succeeded', 'recovered'].some((word) => reader.peekIs(word))) {
      for (let token = reader.take(); token !== undefined && !isWord(token, 'then'); token = reader.take());
    }
    skipAction(reader);
  }
  return words.slice(0, 6).join(' ');
}

function skipAction(reader: Reader): void {
  const action = reader.take();
  if (action !== undefined && isWord(action, 'exec')) reader.take();
}

function skipOption(reader: Reader, token: Token, ignored: string[]): void {
  ignored.push(`line ${token.line}: ${token.text}`);
  reader.skipTo(['check', 'start', 'stop', 'group', 'depends', 'if', 'every', 'mode', 'onreboot', 'restart']);
}

class Reader {
  readonly #tokens: Token[];
  #at = 0;

  constructor(tokens: Token[]) {
    this.#tokens = tokens;
  }

  peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  peekIs(word: string): boolean {
    const token = this.peek();
    return token !== undefined && isWord(token, word);
  }

  take(): Token | undefined {
    return this.#tokens[this.#at++];
  }

  expect(what: string): Token {
    const token = this.take();
    if (token === undefined) throw new Error(`line ${this.#tokens.at(-1)?.line ?? 1}: expected ${what} at the end of the file`);
    return token;
  }

  /** Skips leading tokens that are one of the words; true when there was one. */
  skipWords(words: string[]): boolean {
    let skipped = false;
    while (words.some((word) => this.peekIs(word))) {
      this.take();
      skipped = true;
    }
    return skipped;
  }

  skipTo(words: string[]): void {
    while (this.peek() !== undefined && !words.some((word) => this.peekIs(word))) this.take();
  }

  previousEndsWithComma(): boolean {
    return this.#tokens[this.#at - 1]?.text.endsWith(',') === true;
  }
}

function isWord(token: Token, word: string): boolean {
  return !token.quoted && token.text.toLowerCase() === word;
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  text.split('\n').forEach((line, index) => {
    for (const match of line.matchAll(/"([^"]*)"|'([^']*)'|(#.*)|([^\s"'#]+)/g)) {
      const [, double, single, comment, word] = match;
      if (comment !== undefined) break;
      tokens.push({ text: double ?? single ?? word ?? '', quoted: word === undefined, line: index + 1 });
    }
  });
  return tokens;
}

/** Splits a command line at blanks, keeping what single quotes hold together. */
function splitCommand(line: string): string[] {
  return [...line.matchAll(/'([^']*)'|(\S+)/g)].map((match) => match[1] ?? match[2] ?? '');
}

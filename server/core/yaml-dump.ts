import { isHash } from './yaml';
import { plainTextIsNoString } from './yaml-scalars';

/**
 * YAML exactly as Ruby's Psych prints it, because diffs and stored manifests are read by people and tools that know
 * that form: two spaces, dashes at the level of their key, its choice of quotes, lines folded after 80 columns.
 * Sources: ruby/psych lib/psych/visitors/yaml_tree.rb (style of strings), yaml/libyaml src/emitter.c (how they are written).
 */

const foldColumn = 80;

/** The text of a value, without `---`, ending in a line break. Shared objects are written out each time. */
export function dumpYaml(value: unknown): string {
  const text = isEmptyOrScalar(value) ? ` ${scalarText(value, { column: 4, indent: 0, key: false })}`.trimStart() : block(value, 0);
  const ended = text.endsWith('\n') ? text : `${text}\n`;
  return keepsTrailingBreaks(value) ? `${ended}...\n` : ended;
}

/** Where a scalar is written: the column it starts at and the indentation of its further lines. */
interface Place {
  column: number;
  indent: number;
  /** Keys are never folded. */
  key: boolean;
}

/** A non-empty collection, each line indented by `indent`. */
function block(value: unknown, indent: number): string {
  const pad = ' '.repeat(indent);
  if (Array.isArray(value)) return lines(value.map((item) => `${pad}-${sequenceItem(item, indent)}`));
  if (!isHash(value)) return scalarText(value, { column: indent, indent, key: false });
  return lines(Object.entries(value).map(([key, item]) => pad + (isSimpleKey(key) ? simpleEntry(key, item, indent) : complexEntry(key, item, indent))));
}

/** Keys that libyaml writes on one line: at most 128 bytes and no line break. */
function isSimpleKey(key: string): boolean {
  return !/[\r\n\u0085\u2028\u2029]/.test(key) && new TextEncoder().encode(key).length <= 128;
}

function simpleEntry(key: string, item: unknown, indent: number): string {
  const name = scalarText(key, { column: indent, indent, key: true });
  return `${name}:${mappingValue(item, indent, indent + name.length + 1)}`;
}

function complexEntry(key: string, item: unknown, indent: number): string {
  const name = scalarText(key, { column: indent + 2, indent: indent + 2, key: false });
  return `${lines([`? ${name}`])}${' '.repeat(indent)}:${isEmptyOrScalar(item) ? scalarAfter(item, indent + 1, indent + 2) : sequenceItem(item, indent)}`;
}

function lines(entries: string[]): string {
  return entries.map((entry) => (entry.endsWith('\n') ? entry : `${entry}\n`)).join('');
}

function sequenceItem(item: unknown, indent: number): string {
  if (isEmptyOrScalar(item)) return scalarAfter(item, indent + 1, indent + 2);
  return ` ${block(item, indent + 2).slice(indent + 2)}`;
}

function mappingValue(item: unknown, indent: number, column: number): string {
  if (isEmptyOrScalar(item)) return scalarAfter(item, column, indent + 2);
  return `\n${block(item, Array.isArray(item) ? indent : indent + 2)}`;
}

function scalarAfter(item: unknown, column: number, indent: number): string {
  const text = scalarText(item, { column: column + 1, indent, key: false });
  return text === '' ? '' : ` ${text}`;
}

function isEmptyOrScalar(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return !isHash(value) || Object.keys(value).length === 0;
}

/** A scalar that ends in several line breaks at the end of a document needs a document end mark. */
function keepsTrailingBreaks(value: unknown): boolean {
  if (typeof value === 'string') return stringStyle(value, false) === 'literal' && value.endsWith('\n\n');
  if (Array.isArray(value)) return value.length > 0 && keepsTrailingBreaks(value.at(-1));
  return isHash(value) && Object.keys(value).length > 0 && keepsTrailingBreaks(Object.values(value).at(-1));
}

function scalarText(value: unknown, place: Place): string {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return stringText(value, place);
  if (typeof value === 'number') return numberText(value);
  if (typeof value === 'object') return Array.isArray(value) ? '[]' : '{}';
  return `${value as boolean | bigint}`;
}

/** Ruby writes floats with a fraction and with exponents of two digits below 1e-4 and from 1e16 on. */
function numberText(value: number): string {
  if (Number.isSafeInteger(value)) return String(value);
  const magnitude = Math.abs(value);
  if (magnitude >= 1e-4 && magnitude < 1e16) return String(value);
  const [digits = '', exponent = '0'] = value.toExponential().split('e');
  const sign = exponent.startsWith('-') ? '-' : '+';
  return `${digits.includes('.') ? digits : `${digits}.0`}e${sign}${exponent.replace(/^[-+]/, '').padStart(2, '0')}`;
}

type Style = 'plain' | 'single' | 'double' | 'literal';

function stringText(text: string, place: Place): string {
  if (text === '<<') return "!!str '<<'";
  return writers[stringStyle(text, place.key)](text, place);
}

const writers: Record<Style, (text: string, place: Place) => string> = {
  plain: (text, place) => folded(Array.from(text), place, (char) => char),
  single: singleQuoted,
  double: doubleQuoted,
  literal: (text, place) => literal(text, place.indent),
};

function stringStyle(text: string, key: boolean): Style {
  const allowed = analyse(text);
  const wanted = wantedStyle(text);
  if (key && /[\r\n\u0085\u2028\u2029]/.test(text)) return 'double';
  if (wanted === 'literal') return allowed.block && !key ? 'literal' : 'double';
  if (wanted === 'double') return 'double';
  if (wanted === 'plain' && allowed.plain && text !== '') return 'plain';
  return allowed.single ? 'single' : 'double';
}

/** What Psych asks for. */
function wantedStyle(text: string): Style {
  if (/\n(?!\n?$(?![^]))/.test(text) && !/^[^\n]*\n$/.test(text)) return 'literal';
  if (/^[yYnN]$/.test(text)) return 'double';
  if (/^[^\p{L}\p{M}\p{N}\p{Pc}][^"]*$/mu.test(text)) return 'double';
  if (plainTextIsNoString(text) || /^0[0-7]*\.[0-9]/.test(text)) return 'single';
  return 'plain';
}

/** Rare line separators are always escaped, although Psych writes some of them raw. */
const printable = /^(?![\u2028\u2029])[\n\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]$/u;

/** What libyaml permits. */
function analyse(text: string): { plain: boolean; single: boolean; block: boolean } {
  const isSpecial = Array.from(text).some((char) => !printable.test(char));
  const spaceBreak = / [\n\r\u0085\u2028\u2029]/.test(text) || isSpecial;
  const breakSpace = /[\n\r\u0085\u2028\u2029] /.test(text);
  const hasBreak = /[\n\r\u0085\u2028\u2029]/.test(text);
  const edge = /^ | $/.test(text);
  const indicator = /^(?:[#,[\]{}&*!|>'"%@`]|[?:-](?:[ \t\n]|$)|---|\.\.\.)|:(?:[ \t\n]|$)|[ \t\n]#/.test(text);
  return {
    plain: !edge && !hasBreak && !indicator && !spaceBreak,
    single: !breakSpace && !spaceBreak,
    block: !text.endsWith(' ') && !spaceBreak,
  };
}

/** Writes characters one by one and breaks the line at a single space once it is longer than 80 columns. */
function folded(chars: readonly string[], place: Place, write: (char: string) => string): string {
  let out = '';
  let column = place.column;
  chars.forEach((char, i) => {
    const single = char === ' ' && chars[i - 1] !== ' ' && chars[i + 1] !== ' ';
    if (single && !place.key && column > foldColumn && i > 0 && i < chars.length - 1) {
      out += `\n${' '.repeat(place.indent)}`;
      column = place.indent;
      return;
    }
    const written = write(char);
    out += written;
    column += Array.from(written).length;
  });
  return out;
}

function singleQuoted(text: string, place: Place): string {
  const pad = ' '.repeat(place.indent);
  const parts = text.split('\n');
  const last = parts.pop() ?? '';
  let out = "'";
  for (const [i, part] of parts.entries()) {
    const before = i === 0 ? place.column + 1 : place.indent;
    out += folded(Array.from(part), { ...place, column: before }, (char) => (char === "'" ? "''" : char));
    out += part === '' && i > 0 ? '\n' : '\n\n';
    if ((parts[i + 1] ?? last) !== '') out += pad;
  }
  const column = parts.length === 0 ? place.column + 1 : place.indent;
  out += folded(Array.from(last), { ...place, column }, (char) => (char === "'" ? "''" : char));
  if (last === '' && parts.length > 0) out += pad;
  return `${out}'`;
}

const escapes: Readonly<Record<string, string>> = {
  '\0': '\\0', '\x07': '\\a', '\b': '\\b', '\t': '\\t', '\n': '\\n', '\v': '\\v', '\f': '\\f', '\r': '\\r', '\x1b': '\\e',
  '"': '\\"', '\\': '\\\\', '\u0085': '\\N', '\u2028': '\\L', '\u2029': '\\P',
};

function doubleQuoted(text: string, place: Place): string {
  const chars = Array.from(text);
  let out = '"';
  let column = place.column + 1;
  let spaces = false;
  chars.forEach((char, i) => {
    if (char === ' ' && !place.key && !spaces && column > foldColumn && i > 0 && i < chars.length - 1) {
      const next = chars[i + 1] === ' ' ? '\\' : '';
      out += `\n${' '.repeat(place.indent)}${next}`;
      column = place.indent + next.length;
      spaces = true;
      return;
    }
    const written = escapes[char] ?? (printable.test(char) ? char : escapedCodePoint(char));
    out += written;
    column += Array.from(written).length;
    spaces = char === ' ';
  });
  return `${out}"`;
}

function escapedCodePoint(char: string): string {
  const point = char.codePointAt(0) ?? 0;
  const hex = point.toString(16).toUpperCase();
  if (point <= 0xff) return `\\x${hex.padStart(2, '0')}`;
  return point <= 0xffff ? `\\u${hex.padStart(4, '0')}` : `\\U${hex.padStart(8, '0')}`;
}

function literal(text: string, indent: number): string {
  const hint = /^[ \n]/.test(text) ? '2' : '';
  const chomping = !text.endsWith('\n') ? '-' : text.endsWith('\n\n') ? '+' : '';
  const pad = ' '.repeat(indent);
  const body = text.split('\n').map((line) => (line === '' ? '' : pad + line));
  return `|${hint}${chomping}\n${body.join('\n')}`;
}

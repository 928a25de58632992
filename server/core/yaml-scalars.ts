/**
 * What a plain YAML scalar means to Ruby's Psych, whose rules differ from YAML 1.1 and 1.2 (`y` and `1e3` are strings,
 * `12:30` is a number, `1,000` is 1000). Source: ruby/psych lib/psych/scalar_scanner.rb.
 */

/** A number that JavaScript cannot hold exactly, an infinity or NaN. */
export class UnrepresentableNumber extends Error {}

const nullPattern = /^(?:~|null)?$/i;
const truePattern = /^(?:yes|true|on)$/i;
const falsePattern = /^(?:no|false|off)$/i;
const floatPattern = /^[-+]?(?:[0-9][0-9_,]*)?\.[0-9]*(?:[eE][+-][0-9]+)?$/;
const sexagesimalPattern = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}$/;
const sexagesimalFloatPattern = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9]){1,2}\.[0-9_]*$/;
const infinityPattern = /^[-+]?\.(?:inf|nan)$/i;
const datePattern = /^\d{4}-(?:1[012]|0\d|\d)-(?:[12]\d|3[01]|0\d|\d)$/;
const timePattern = /^-?\d{4}-\d{1,2}-\d{1,2}(?:[Tt]|\s+)\d{1,2}:\d\d:\d\d(?:\.\d*)?(?:\s*(?:Z|[-+]\d{1,2}:?(?:\d\d)?))?$/;
const symbolPattern = /^:./;
const integers: readonly [pattern: RegExp, base: number][] = [
  [/^[-+]?0[bB]([01_,]+)$/, 2],
  [/^[-+]?0[xX]([0-9a-fA-F_,]+)$/, 16],
  [/^[-+]?0([0-7_,]+)$/, 8],
  [/^[-+]?(0|[1-9](?:[0-9]|,[0-9]|_[0-9])*)$/, 10],
];

/**
 * The value of a plain scalar. Dates, times and symbols stay strings. Throws UnrepresentableNumber rather than lose
 * digits.
 */
export function resolvePlainScalar(text: string): string | number | boolean | null {
  if (nullPattern.test(text)) return null;
  if (truePattern.test(text)) return true;
  if (falsePattern.test(text)) return false;
  if (infinityPattern.test(text)) throw new UnrepresentableNumber(`the number ${text}`);
  if (sexagesimalPattern.test(text) || sexagesimalFloatPattern.test(text)) return sexagesimal(text);
  if (floatPattern.test(text)) return float(text);
  return integer(text) ?? text;
}

/** True when Psych reads the text, written plainly, as something else than this string. */
export function plainTextIsNoString(text: string): boolean {
  if (datePattern.test(text) || timePattern.test(text) || symbolPattern.test(text) || infinityPattern.test(text)) return true;
  if (/\n/.test(text)) return false;
  return nullPattern.test(text) || truePattern.test(text) || falsePattern.test(text) || sexagesimalPattern.test(text)
    || sexagesimalFloatPattern.test(text) || (floatPattern.test(text) && !/^[-+]?\.$/.test(text)) || integers.some(([pattern]) => pattern.test(text));
}

function integer(text: string): number | undefined {
  for (const [pattern, base] of integers) {
    const digits = pattern.exec(text)?.[1]?.replace(/[_,]/g, '');
    if (digits === undefined || digits === '') continue;
    const value = parseDigits(digits, base);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new UnrepresentableNumber(`the number ${text}`);
    return text.startsWith('-') && value !== 0n ? -Number(value) : Number(value);
  }
  return undefined;
}

function parseDigits(digits: string, base: number): bigint {
  if (base === 10) return BigInt(digits);
  const prefix = { 2: '0b', 8: '0o', 16: '0x' }[base] ?? '';
  return BigInt(prefix + digits);
}

function float(text: string): number | string {
  if (/^[-+]?\.$/.test(text)) return text;
  const value = Number(text.replace(/[,_]/g, ''));
  if (Number.isNaN(value)) return text;
  if (!Number.isFinite(value)) throw new UnrepresentableNumber(`the number ${text}`);
  return value;
}

/** Psych counts the first part of `12:30` as hours: 45000. */
function sexagesimal(text: string): number {
  const weights = [3600, 60, 1];
  return text.split(':').reduce((sum, part, i) => sum + Number(part.replaceAll('_', '')) * (weights[i] ?? 0), 0);
}

/** Numbers and values as Python writes them: messages and files of records are the same in both languages. */

const UNPRINTABLE = /[\p{C}\p{Z}]/u;
const NAMED: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' };
const DEEPEST = 60;

/**
 * A number as Python's `format(value, ".{digits}g")`.
 *
 * @param digits significant digits, at least 1.
 */
export function general(value: number, digits = 6): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf';
  let [figures, exponent] = parts(value.toExponential(digits - 1));
  // Python rounds a tie to the even digit, toExponential away from zero; a double's digits end before these do.
  const [all] = parts(value.toExponential(100));
  const kept = all.slice(0, digits);
  if (/^50*$/.test(all.slice(digits)) && Number(kept.at(-1)) % 2 === 0) figures = kept;
  return sign(value) + laidOut(figures.replace(/0+$/, '') || '0', exponent, digits);
}

/** A finite number as Python's `repr` writes a float: 5.0, 0.1, 1e-05. */
export function floatText(value: number): string {
  const [figures, exponent] = parts(value.toExponential());
  const text = laidOut(figures, exponent, 16);
  return sign(value) + (/[.e]/.test(text) ? text : `${text}.0`);
}

/** A JSON value as Python's `repr` writes it. */
export function repr(value: unknown, depth = 0): string {
  if (depth > DEEPEST) return '…'; // messages are cut before this is reached; the call stack is not
  if (typeof value === 'string') return quoted(value);
  if (typeof value === 'number') return Number.isInteger(value) ? BigInt(value).toString() : floatText(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map((item) => repr(item, depth + 1)).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return 'None';
  return `{${Object.entries(value)
    .map(([key, item]) => `${quoted(key)}: ${repr(item, depth + 1)}`)
    .join(', ')}}`;
}

/** Text on one line: what does not print becomes an escape. */
export function printable(text: string): string {
  return Array.from(text, (c) => (isPrintable(c) ? c : escaped(c))).join('');
}

/** Whether all of it prints, as Python's `str.isprintable`: no control characters, no line ends. */
export function isPrintable(text: string): boolean {
  return !UNPRINTABLE.test(text.replaceAll(' ', ''));
}

function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  return quote + Array.from(text, (c) => (c === quote || c === '\\' ? `\\${c}` : printable(c))).join('') + quote;
}

function escaped(c: string): string {
  const code = c.codePointAt(0) ?? 0;
  const [letter, width] = code < 0x100 ? ['x', 2] : code < 0x10000 ? ['u', 4] : ['U', 8];
  return NAMED[c] ?? `\\${letter}${code.toString(16).padStart(Number(width), '0')}`;
}

function sign(value: number): string {
  return value < 0 || Object.is(value, -0) ? '-' : '';
}

/** The significant digits, and the power of ten of the first. */
function parts(exponential: string): [string, number] {
  const [mantissa = '', exponent = ''] = exponential.split('e');
  return [mantissa.replace(/[-.]/g, ''), Number(exponent)];
}

/** Digits with their point, or with an exponent where the number has `most` digits before it, or four zeros after. */
function laidOut(figures: string, exponent: number, most: number): string {
  if (exponent < -4 || exponent >= most) {
    const rest = figures.slice(1);
    const power = String(Math.abs(exponent)).padStart(2, '0');
    return `${figures.slice(0, 1)}${rest && `.${rest}`}e${exponent < 0 ? '-' : '+'}${power}`;
  }
  if (exponent < 0) return `0.${'0'.repeat(-exponent - 1)}${figures}`;
  const whole = figures.slice(0, exponent + 1).padEnd(exponent + 1, '0');
  const rest = figures.slice(exponent + 1);
  return rest ? `${whole}.${rest}` : whole;
}

/** Scored photographs as the files that `edge_nima.records.read_records` reads, byte for byte as Python writes them. */

import { BINS } from './distribution.ts';
import { floatText } from './python_text.ts';

/** What a model said of one photograph. Either `error` is null, or the numbers are. Fields named as in the files. */
export interface ScoreRecord {
  /** The photograph's name. */
  readonly name: string;
  /** Mean rating, 1..10. */
  readonly mean: number | null;
  /** Standard deviation of the ratings, rating points. */
  readonly std: number | null;
  /** Proportions of the ratings 1..10, summing to 1. */
  readonly distribution: readonly number[] | null;
  /** As `label` makes it. */
  readonly model: string;
  /** Decoding, resizing and inference, milliseconds. */
  readonly elapsed_ms: number;
  /** Why there is no score, on one line. */
  readonly error: string | null;
  /** How the model had its pixels, as `describe` says it. */
  readonly preprocessing: string | null;
}

/** Size in bytes and modification time in nanoseconds since 1970: by these a later run knows a photograph again. */
export interface FileStamp {
  readonly size: number | null;
  /** More than a double holds exactly. */
  readonly mtime_ns: bigint | null;
}

const RATINGS = Array.from({ length: BINS }, (_, i) => `p${i + 1}`);
const COLUMNS = [
  'name',
  'mean',
  'std',
  ...RATINGS,
  'model',
  'elapsed_ms',
  'error',
  'preprocessing',
  'size',
  'mtime_ns',
];

/** The model's name and the first eight digits of its file's SHA-256. */
export function label(card: { readonly name: string }, sha256: string): string {
  return `${card.name}@${sha256.slice(0, 8)}`;
}

/** A JSON Lines file: one object a line. */
export function toJsonLines(items: Iterable<readonly [ScoreRecord, FileStamp]>): string {
  return Array.from(items, ([record, stamp]) => {
    const fields: [string, string][] = [
      ['name', jsonText(record.name)],
      ['mean', jsonNumber(record.mean)],
      ['std', jsonNumber(record.std)],
      ['distribution', record.distribution === null ? 'null' : `[${record.distribution.map(floatText).join(', ')}]`],
      ['model', jsonText(record.model)],
      ['elapsed_ms', jsonNumber(record.elapsed_ms)],
      ['error', jsonText(record.error)],
      ['preprocessing', jsonText(record.preprocessing)],
      ['size', String(stamp.size)],
      ['mtime_ns', String(stamp.mtime_ns)],
    ];
    return `{${fields.map(([key, value]) => `"${key}": ${value}`).join(', ')}}\n`;
  }).join('');
}

/** A CSV file: a header, then one row a record. */
export function toCsv(items: Iterable<readonly [ScoreRecord, FileStamp]>): string {
  const rows = Array.from(items, ([record, stamp]) => [
    record.name,
    csvNumber(record.mean),
    csvNumber(record.std),
    ...RATINGS.map((_, i) => csvNumber(record.distribution?.[i] ?? null)),
    record.model,
    csvNumber(record.elapsed_ms),
    record.error ?? '',
    record.preprocessing ?? '',
    String(stamp.size ?? ''),
    String(stamp.mtime_ns ?? ''),
  ]);
  const text = [COLUMNS, ...rows].map((row) => `${row.map(cell).join(',')}\n`).join('');
  // No UTF-8 file holds half of a surrogate pair; Python writes it like this.
  return text.replace(/\p{Surrogate}/gu, (half) => `\\u${half.charCodeAt(0).toString(16)}`);
}

function jsonText(text: string | null): string {
  return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function jsonNumber(value: number | null): string {
  return value === null ? 'null' : floatText(value);
}

function csvNumber(value: number | null): string {
  return value === null ? '' : floatText(value);
}

function cell(text: string): string {
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

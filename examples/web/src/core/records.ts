/** Scored photographs as the files that `edge_nima.records.read_records` reads. */

import { BINS } from './distribution.ts';

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

const HEADER = 'name,mean,std,p1,p2,p3,p4,p5,p6,p7,p8,p9,p10,model,elapsed_ms,error,preprocessing,size,mtime_ns';

/** The model's name and the first eight digits of its file's SHA-256. */
export function label(card: { readonly name: string }, sha256: string): string {
  return `${card.name}@${sha256.slice(0, 8)}`;
}

/** A JSON Lines file: one object a line. */
export function toJsonLines(items: Iterable<readonly [ScoreRecord, FileStamp]>): string {
  return Array.from(items, ([record, { size, mtime_ns }]) => {
    const { name, mean, std, distribution, model, elapsed_ms, error, preprocessing } = record;
    const fields = { name, mean, std, distribution, model, elapsed_ms, error, preprocessing, size };
    const told = Object.entries(fields).map(([key, value]) => `"${key}": ${JSON.stringify(value)}`);
    return `{${[...told, `"mtime_ns": ${mtime_ns}`].join(', ')}}\n`; // JSON.stringify takes no bigint
  }).join('');
}

/** A CSV file: a header, then one row a record. */
export function toCsv(items: Iterable<readonly [ScoreRecord, FileStamp]>): string {
  const rows = Array.from(items, ([{ name, mean, std, distribution, ...record }, { size, mtime_ns }]) => {
    const { model, elapsed_ms, error, preprocessing } = record;
    const shares = distribution ?? Array<null>(BINS).fill(null);
    return [name, mean, std, ...shares, model, elapsed_ms, error, preprocessing, size, mtime_ns].map(cell).join(',');
  });
  const text = `${[HEADER, ...rows].join('\n')}\n`;
  // No UTF-8 file holds half of a surrogate pair; Python writes it like this.
  return text.replace(/\p{Surrogate}/gu, (half) => `\\u${half.charCodeAt(0).toString(16)}`);
}

function cell(value: string | number | bigint | null): string {
  const text = String(value ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

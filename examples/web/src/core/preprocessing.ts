/** How a model wants its pixels: the part of a card that decides the score most, as in `edge_nima/pixels.py`. */

import { ModelRejected } from './errors.ts';
import { general, repr } from './python_text.ts';

/** Pillow's resampling filters by the names a card uses. All but nearest are antialiased when they shrink. */
export const FILTERS = ['nearest', 'box', 'bilinear', 'hamming', 'bicubic', 'lanczos'] as const;

/** One of `FILTERS`. */
export type Filter = (typeof FILTERS)[number];

/** The card's specification, its fields named as in its JSON. */
export interface Preprocessing {
  readonly width: number;
  readonly height: number;
  /** "stretch" ignores the aspect ratio; "crop" takes the largest centred part of the model's aspect ratio. */
  readonly fit: 'stretch' | 'crop';
  readonly filter: Filter;
  readonly antialias: boolean;
  readonly channel_order: 'RGB' | 'BGR';
  /** A pixel p in 0..255 becomes p * scale + offset. */
  readonly scale: number;
  readonly offset: number;
  /** Where that is done: inside the model, which takes uint8, or on this side of it. */
  readonly scaling: 'graph' | 'host';
}

const FIELDS: readonly (keyof Preprocessing)[] = [
  'width',
  'height',
  'fit',
  'filter',
  'antialias',
  'channel_order',
  'scale',
  'offset',
  'scaling',
];
const LARGEST_SIDE = 4096;
const LARGEST_FACTOR = 1e9;

/**
 * Read a card's preprocessing.
 *
 * @throws ModelRejected a part is missing, unknown or impossible: none is ever guessed, each moves the score by more
 *   than quantisation does.
 */
export function parsePreprocessing(raw: Readonly<Record<string, unknown>>): Preprocessing {
  const given = Object.keys(raw);
  const groups: [string, string[]][] = [
    ['missing', FIELDS.filter((field) => !Object.hasOwn(raw, field)).sort()],
    ['unknown', given.filter((field) => !FIELDS.some((known) => known === field)).sort()],
  ];
  const told = groups.filter(([, names]) => names.length > 0).map(([what, names]) => `${what} ${names.join(', ')}`);
  if (told.length > 0) {
    throw new ModelRejected(
      `the card's preprocessing is not as it must be: ${repr(told.join('; ')).slice(1, -1).slice(0, 200)}`,
    );
  }
  oneOf(raw, 'fit', ['stretch', 'crop']);
  oneOf(raw, 'filter', FILTERS);
  oneOf(raw, 'antialias', [raw['filter'] !== 'nearest'], ` with filter ${repr(raw['filter'])}`);
  oneOf(raw, 'channel_order', ['RGB', 'BGR']);
  oneOf(raw, 'scaling', ['graph', 'host']);
  side(raw, 'width');
  side(raw, 'height');
  factor(raw, 'scale', ' other than 0');
  factor(raw, 'offset', '');
  return raw as unknown as Preprocessing; // every field was looked at above
}

/** One line for a person, the same as Python's `Preprocessing.describe`. */
export function describe(how: Preprocessing): string {
  const smooth = how.antialias ? 'antialiased' : 'no antialias';
  const where = how.scaling === 'graph' ? 'inside the graph' : 'by the caller';
  return (
    `${how.width}x${how.height}, ${how.fit}, Pillow ${how.filter.toUpperCase()} (${smooth}), ${how.channel_order}, ` +
    `p * ${general(how.scale)} ${how.offset < 0 ? '-' : '+'} ${general(Math.abs(how.offset))} ${where}`
  );
}

function oneOf(raw: Readonly<Record<string, unknown>>, field: string, possible: readonly unknown[], what = ''): void {
  if (possible.includes(raw[field])) return;
  throw new ModelRejected(`preprocessing ${field} is ${short(raw[field])}${what}; possible: ${possible.join(', ')}`);
}

function side(raw: Readonly<Record<string, unknown>>, field: string): void {
  const value = raw[field];
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= LARGEST_SIDE) return;
  throw new ModelRejected(
    `preprocessing ${field} is ${short(value)}; possible: a whole number from 1 to ${LARGEST_SIDE}`,
  );
}

function factor(raw: Readonly<Record<string, unknown>>, field: string, besides: string): void {
  const value = raw[field];
  if (typeof value === 'number' && Math.abs(value) <= LARGEST_FACTOR && (value !== 0 || besides === '')) return;
  throw new ModelRejected(`preprocessing ${field} is ${short(value)}; possible: a finite number${besides}`);
}

function short(value: unknown): string {
  const text = repr(value);
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}

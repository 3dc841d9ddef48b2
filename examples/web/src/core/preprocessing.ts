/** How a model wants its pixels: the part of a card that decides the score most, as in `edge_nima/pixels.py`. */

import { ModelRejected } from './errors.ts';
import { general, repr } from './python_text.ts';
import { toEven } from './rounding.ts';

/** Pillow's resampling filters by the names a card uses. All but nearest are antialiased when they shrink. */
export const FILTERS = ['nearest', 'box', 'bilinear', 'hamming', 'bicubic', 'lanczos'] as const;

/** One of `FILTERS`. */
export type Filter = (typeof FILTERS)[number];

/** All but nearest, which takes one pixel as it is. */
export type WeightedFilter = Exclude<Filter, 'nearest'>;

/** One number, or three: one a channel, in the order in which the model takes them. */
export type Factor = number | readonly [number, number, number];

/**
 * The card's specification, its fields named as in its JSON.
 *
 * With a `longest_edge`, a picture whose longest edge is above it is reduced first, whole and in proportion, by
 * `longest_edge_filter`; `reducedSize` defines to which size. Smaller pictures stay as they are.
 */
export interface Preprocessing {
  readonly width: number;
  readonly height: number;
  /** "stretch" ignores the aspect ratio; "crop" takes the largest centred part of the model's aspect ratio. */
  readonly fit: 'stretch' | 'crop';
  readonly filter: Filter;
  readonly antialias: boolean;
  readonly channel_order: 'RGB' | 'BGR';
  /** A pixel p in 0..255 becomes p * scale + offset. */
  readonly scale: Factor;
  readonly offset: Factor;
  /** Where that is done: inside the model, which takes uint8, or on this side of it. */
  readonly scaling: 'graph' | 'host';
  /** Pixels; null for no such step. */
  readonly longest_edge: number | null;
  readonly longest_edge_filter: WeightedFilter;
  /** Order of the axes of the model's input: channels last, or a plane a channel. */
  readonly layout: 'NHWC' | 'NCHW';
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
/** Of cards of format 2; `layout` is of format 3. */
const LATER: readonly (keyof Preprocessing)[] = ['longest_edge', 'longest_edge_filter'];
const LARGEST_SIDE = 4096;
const LARGEST_EDGE = 65535;
/** Python may decode a JPEG at a DCT scale that keeps at least this many times `longest_edge`. Browsers decode in full. */
const DCT_MARGIN = 3;
const LARGEST_FACTOR = 1e9;

/**
 * Read a card's preprocessing; without `longest_edge`, or with null, there is no such step; `layout` is NHWC.
 *
 * @throws ModelRejected a part is missing, unknown or impossible: none is ever guessed, each moves the score by more
 *   than quantisation does.
 */
export function parsePreprocessing(raw: Readonly<Record<string, unknown>>): Preprocessing {
  const isLater = (field: string): boolean => LATER.some((later) => later === field);
  const given = Object.keys(raw).filter((field) => !isLater(field) || raw[field] !== null);
  const needed = given.includes('longest_edge') ? [...FIELDS, ...LATER] : FIELDS;
  const groups: [string, string[]][] = [
    ['missing', needed.filter((field) => !given.includes(field)).sort()],
    ['unknown', given.filter((field) => !isLater(field) && field !== 'layout' && !FIELDS.some((known) => known === field)).sort()],
  ];
  const told = groups.filter(([, names]) => names.length > 0).map(([what, names]) => `${what} ${names.join(', ')}`);
  if (told.length > 0) {
    throw new ModelRejected(
      `preprocessing is not as it must be: ${repr(told.join('; ')).slice(1, -1).slice(0, 200)}`,
    );
  }
  oneOf(raw, 'fit', ['stretch', 'crop']);
  oneOf(raw, 'filter', FILTERS);
  oneOf(raw, 'antialias', [raw['filter'] !== 'nearest'], ` with filter ${repr(raw['filter'])}`);
  oneOf(raw, 'channel_order', ['RGB', 'BGR']);
  oneOf(raw, 'scaling', ['graph', 'host']);
  const how = {
    ...raw,
    longest_edge: raw['longest_edge'] ?? null,
    longest_edge_filter: raw['longest_edge_filter'] ?? 'lanczos',
    layout: raw['layout'] === undefined ? 'NHWC' : raw['layout'],
  };
  oneOf(
    how,
    'longest_edge_filter',
    FILTERS.filter((filter) => filter !== 'nearest'),
  );
  oneOf(how, 'layout', ['NHWC', 'NCHW']);
  whole(raw, 'width', LARGEST_SIDE);
  whole(raw, 'height', LARGEST_SIDE);
  if (how.longest_edge !== null) whole(how, 'longest_edge', LARGEST_EDGE, 'null, ');
  factor(raw, 'scale', ' other than 0');
  factor(raw, 'offset', '');
  return how as unknown as Preprocessing; // every field was looked at above
}

/**
 * Size of an upright picture after the step `longest_edge`: width, height.
 *
 * A picture up to `longest_edge` stays as it is. Of a larger one the longest edge becomes exactly that, the other
 * side * longest_edge / longest, rounded half to even, at least 1.
 */
export function reducedSize(width: number, height: number, { longest_edge: edge }: Preprocessing): [number, number] {
  const longest = Math.max(width, height);
  if (edge === null || longest <= edge) return [width, height];
  const reduced = (side: number): number => Math.max(1, toEven((side * edge) / longest));
  return [reduced(width), reduced(height)];
}

/** One line for a person, the same as Python's `Preprocessing.describe`. */
export function describe(how: Preprocessing): string {
  const smooth = how.antialias ? 'antialiased' : 'no antialias';
  const where = how.scaling === 'graph' ? 'inside the graph' : 'by the caller';
  const first =
    how.longest_edge === null
      ? ''
      : `longest edge at most ${how.longest_edge} by Pillow ${how.longest_edge_filter.toUpperCase()} ` +
        `(JPEG at any DCT scale of ${DCT_MARGIN * how.longest_edge} or more), then `;
  return (
    `${first}${how.width}x${how.height}, ${how.fit}, Pillow ${how.filter.toUpperCase()} (${smooth}), ${how.channel_order}, ` +
    `${scaling(how)} ${where}${how.layout === 'NHWC' ? '' : `, ${how.layout}`}`
  );
}

function scaling({ scale, offset }: Preprocessing): string {
  if (typeof scale === 'number' && typeof offset === 'number') {
    return `p * ${general(scale)} ${offset < 0 ? '-' : '+'} ${general(Math.abs(offset))}`;
  }
  const told = (factor: Factor): string =>
    typeof factor === 'number' ? general(factor) : `(${factor.map((value) => general(value)).join(', ')})`;
  return `p * ${told(scale)} + ${told(offset)}`;
}

function oneOf(raw: Readonly<Record<string, unknown>>, field: string, possible: readonly unknown[], what = ''): void {
  if (possible.includes(raw[field])) return;
  throw new ModelRejected(`preprocessing ${field} is ${short(raw[field])}${what}; possible: ${possible.join(', ')}`);
}

function whole(raw: Readonly<Record<string, unknown>>, field: string, most: number, besides = ''): void {
  const value = raw[field];
  if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return;
  throw new ModelRejected(
    `preprocessing ${field} is ${short(value)}; possible: ${besides}a whole number from 1 to ${most}`,
  );
}

function factor(raw: Readonly<Record<string, unknown>>, field: string, besides: string): void {
  const given = raw[field];
  const values: readonly unknown[] = Array.isArray(given) && given.length === 3 ? given : [given];
  const possible = (value: unknown): boolean =>
    typeof value === 'number' && Math.abs(value) <= LARGEST_FACTOR && (value !== 0 || besides === '');
  if (values.every(possible)) return;
  throw new ModelRejected(`preprocessing ${field} is ${short(given)}; possible: a finite number${besides}, or three`);
}

function short(value: unknown): string {
  const text = repr(value);
  return text.length <= 60 ? text : `${text.slice(0, 60)}…`;
}

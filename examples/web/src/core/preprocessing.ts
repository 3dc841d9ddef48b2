/** How a model wants its pixels: the part of a card that decides the score most, as in `edge_nima/pixels.py`. */

import { ModelRejected, shown } from './errors.ts';

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

/** Python may decode a JPEG at a DCT scale that keeps at least this many times `longest_edge`. Browsers decode in full. */
const DCT_MARGIN = 3;

interface Rule {
  readonly holds: (value: unknown) => boolean;
  readonly possible: string;
}

const oneOf = (...values: readonly unknown[]): Rule => ({
  holds: (value) => values.includes(value),
  possible: values.join(', '),
});
const whole = (most: number): Rule => ({
  holds: (value) => typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most,
  possible: `a whole number from 1 to ${most}`,
});
const factor = (zero: boolean): Rule => {
  const one = (value: unknown): boolean =>
    typeof value === 'number' && Math.abs(value) <= 1e9 && (zero || value !== 0);
  return {
    holds: (value) => (Array.isArray(value) ? value.length === 3 && value.every(one) : one(value)),
    possible: `a finite number${zero ? '' : ' other than 0'}, or three`,
  };
};
const edge = whole(65535);

const RULES: Readonly<Record<keyof Preprocessing, Rule>> = {
  width: whole(4096),
  height: whole(4096),
  fit: oneOf('stretch', 'crop'),
  filter: oneOf(...FILTERS),
  antialias: oneOf(true, false),
  channel_order: oneOf('RGB', 'BGR'),
  scale: factor(false),
  offset: factor(true),
  scaling: oneOf('graph', 'host'),
  longest_edge: { holds: (value) => value === null || edge.holds(value), possible: `null, ${edge.possible}` },
  longest_edge_filter: oneOf(...FILTERS.filter((filter) => filter !== 'nearest')),
  layout: oneOf('NHWC', 'NCHW'),
};

/**
 * Read a card's preprocessing; without `longest_edge`, or with null, there is no such step; `layout` is NHWC.
 *
 * @throws ModelRejected a part is missing, unknown or impossible: none is ever guessed, each moves the score by more
 *   than quantisation does.
 */
export function parsePreprocessing(raw: Readonly<Record<string, unknown>>): Preprocessing {
  const { longest_edge = null, longest_edge_filter } = raw;
  const otherwise = longest_edge === null ? 'lanczos' : undefined;
  const how = { layout: 'NHWC', ...raw, longest_edge, longest_edge_filter: longest_edge_filter ?? otherwise };
  const given: Readonly<Record<string, unknown>> = how;
  const unknown = Object.keys(how).filter((field) => !Object.hasOwn(RULES, field));
  if (unknown.length > 0) {
    throw new ModelRejected(`preprocessing has a part that is not known here: ${unknown.join(', ').slice(0, 200)}`);
  }
  for (const [field, { holds, possible }] of Object.entries(RULES)) {
    if (holds(given[field])) continue;
    throw new ModelRejected(`preprocessing ${field} is ${shown(given[field])}; possible: ${possible}`);
  }
  const read = how as unknown as Preprocessing; // every field was looked at above
  if (read.antialias === (read.filter === 'nearest')) {
    throw new ModelRejected(`preprocessing antialias is ${read.antialias} with filter ${read.filter}`);
  }
  return read;
}

/** To the nearest whole number, a half to the even one, as Python and NumPy round. */
export function toEven(value: number): number {
  const below = Math.floor(value);
  const rest = value - below;
  return rest < 0.5 || (rest === 0.5 && below % 2 === 0) ? below : below + 1;
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

/** A number as Python's `format(value, "g")`: six significant digits, of a tie the even one. */
function general(value: number): string {
  const exact = value.toExponential(99); // a tie ends before that
  const rounded = /^-?\d\.\d{4}[02468]50*e/.test(exact) ? exact.replace(/50*e/, 'e') : value.toExponential(5);
  const [digits, power] = rounded.split('e').map(Number) as [number, number];
  if (power >= -4 && power < 6) return String(Number(rounded));
  return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
}

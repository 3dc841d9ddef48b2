/** Pillow's resampling: along one axis, then along the other, rounded to 8 bits between. */

import type { Weights } from './filters.ts';
import { type Kernels, PADDING, type Ring } from './kernels.ts';
import type { Turn } from './sampling.ts';

/**
 * Across first, but down first when the height shrinks by more than twice the pixels that the width does: so Pillow
 * does from version 13 on (its pull request 9549), and the order shows in the last bit or two.
 */
export function isDownFirst(width: number, height: number, toWidth: number, toHeight: number): boolean {
  return height > toHeight && height - toHeight > 2 * (width - toWidth);
}

/** One axis of the stored picture. */
interface Axis {
  /** For each output, from the picture's left or upper edge on: its first pixel, and how many it is made of. */
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** `taps` for each output, those behind its own zero. */
  readonly weights: Int32Array;
  /** A multiple of 4. */
  readonly taps: number;
  /** What is looked at: from `start` to before `stop`. */
  readonly start: number;
  readonly stop: number;
}

/**
 * Resamples pictures of one size that are given row by row, stored turned or not.
 *
 * Only the rows and columns of the output that there are weights for are computed, and no more rows are held than one
 * of them is made of. A picture is begun and ended before another one is, by whichever object: they share a memory.
 */
export class Passes {
  /** Indices of the stored rows that are looked at, ascending. */
  readonly rows: Int32Array;
  /** Columns of them that are looked at, from `left` (an even number) to before `right`. */
  readonly left: number;
  readonly right: number;
  readonly #kernels: Kernels;
  readonly #x: Axis;
  readonly #y: Axis;
  readonly #xFirst: boolean;
  /** Bytes of the output: where the first row's first pixel is, and from there one along the stored x, and y. */
  readonly #origin: number;
  readonly #stepX: number;
  readonly #stepY: number;
  /** Addresses. */
  readonly #weightsX: number;
  readonly #weightsY: number;
  readonly #ring: Ring;
  readonly #row: number;
  readonly #line: number;
  /** Where whoever gives the rows has room for what they are made from. */
  readonly stage: number;
  #out: Uint8Array = new Uint8Array(0);
  #red: 0 | 2 = 0;
  #next = 0;

  /**
   * @param width of the upright pictures; as is `height`.
   * @param across weights of the upright picture's columns.
   * @param down weights of its rows.
   * @param downFirst see `isDownFirst`.
   */
  constructor(
    width: number,
    height: number,
    across: Weights,
    down: Weights,
    downFirst: boolean,
    turn: Turn,
    kernels: Kernels,
  ) {
    this.#kernels = kernels;
    const [x, y] = turn.swaps ? [down, across] : [across, down];
    const [wide, high] = turn.swaps ? [height, width] : [width, height];
    this.#x = axis(x, wide, turn.right);
    this.#y = axis(y, high, turn.bottom);
    this.#xFirst = turn.swaps === downFirst;
    const [pixel, line] = [3, across.first.length * 3];
    const [stepX, stepY] = turn.swaps ? [line, pixel] : [pixel, line];
    this.#origin =
      (turn.right ? (this.#x.first.length - 1) * stepX : 0) + (turn.bottom ? (this.#y.first.length - 1) * stepY : 0);
    this.#stepX = turn.right ? -stepX : stepX;
    this.#stepY = turn.bottom ? -stepY : stepY;
    this.rows = touched(this.#y);
    [this.left, this.right] = [this.#x.start & ~1, this.#x.stop];

    const row = (this.right - this.left) * 3;
    const narrow = this.#x.first.length * 3;
    const stride = roundedUp(this.#xFirst ? narrow : row) + 16;
    const slots = Math.max(...this.#y.count);
    this.#weightsX = roundedUp(4 * this.#x.first.length);
    this.#weightsY = this.#weightsX + roundedUp(4 * this.#x.weights.length);
    this.#ring = { at: this.#weightsY + roundedUp(4 * this.#y.weights.length), stride, slots };
    this.#row = this.#ring.at + stride * slots;
    this.#line = this.#row + roundedUp(row + 3 * this.#x.taps) + PADDING;
    this.stage = this.#line + roundedUp(narrow) + PADDING;
  }

  /**
   * Begin a picture: give each of `rows`, in their order.
   *
   * @param out where to write.
   * @param red where red is written in each pixel, 0 or 2.
   * @param room bytes that are needed at `stage`.
   */
  begin(out: Uint8Array, red: 0 | 2, room: number): void {
    const kernels = this.#kernels;
    kernels.reserve(this.stage + room + PADDING);
    if (kernels.owner !== this) {
      const offsets = this.#x.first.map((first) => (first - this.left) * 3);
      new Int32Array(kernels.memory.buffer, 0, offsets.length).set(offsets);
      kernels.weights(this.#x.weights, this.#weightsX);
      kernels.weights(this.#y.weights, this.#weightsY);
      kernels.owner = this;
    }
    this.#out = out;
    this.#red = red;
    this.#next = 0;
  }

  /** Where columns `left` to `right` of a row are to be written, three bytes each. */
  at(row: number): number {
    const { at, stride, slots } = this.#ring;
    return this.#xFirst ? this.#row : at + (row % slots) * stride;
  }

  /** The row has been written. */
  give(row: number): void {
    const { at, stride, slots } = this.#ring;
    const { first, count } = this.#y;
    if (this.#xFirst) this.#narrow(this.#row, at + (row % slots) * stride);
    for (; this.#next < first.length && first[this.#next]! + count[this.#next]! <= row + 1; this.#next++) {
      this.#shorten(this.#next);
      this.#write(this.#next);
    }
  }

  #narrow(from: number, to: number): void {
    this.#kernels.across(0, this.#weightsX, this.#x.first.length, this.#x.taps, from, to);
  }

  #shorten(y: number): void {
    const { first, count, taps } = this.#y;
    const [to, bytes] = this.#xFirst
      ? [this.#line, 3 * this.#x.first.length]
      : [this.#row, 3 * (this.right - this.left)];
    const weights = this.#weightsY + 4 * taps * y;
    this.#kernels.down(weights, (count[y]! + 1) >> 1, this.#ring, first[y]! % this.#ring.slots, to, bytes);
    if (!this.#xFirst) this.#narrow(this.#row, this.#line);
  }

  #write(y: number): void {
    const { memory } = this.#kernels;
    const [out, red, step] = [this.#out, this.#red, this.#stepX];
    let to = this.#origin + y * this.#stepY;
    const end = this.#line + 3 * this.#x.first.length;
    for (let from = this.#line; from < end; from += 3, to += step) {
      out[to + red] = memory[from]!;
      out[to + 1] = memory[from + 1]!;
      out[to + 2 - red] = memory[from + 2]!;
    }
  }
}

/** @param backwards whether the axis runs from the end of the stored picture, which has `size` pixels along it. */
function axis({ first, count, weights, most }: Weights, size: number, backwards: boolean): Axis {
  const outputs = first.length;
  const taps = (Math.max(...count) + 3) & ~3;
  const made = {
    first: new Int32Array(outputs),
    count: new Int32Array(outputs),
    weights: new Int32Array(outputs * taps),
    taps,
    start: size,
    stop: 0,
  };
  for (let i = 0; i < outputs; i++) {
    const from = backwards ? outputs - 1 - i : i;
    const own = weights.subarray(from * most, from * most + count[from]!);
    made.weights.set(backwards ? own.slice().reverse() : own, i * taps);
    made.count[i] = count[from]!;
    made.first[i] = backwards ? size - first[from]! - count[from]! : first[from]!;
    made.start = Math.min(made.start, made.first[i]!);
    made.stop = Math.max(made.stop, made.first[i]! + made.count[i]!);
  }
  return made;
}

function touched({ first, count, start, stop }: Axis): Int32Array {
  const is = new Uint8Array(stop);
  first.forEach((from, i) => is.fill(1, from, from + count[i]!));
  return Int32Array.from({ length: stop - start }, (_, i) => start + i).filter((row) => is[row] === 1);
}

function roundedUp(bytes: number): number {
  return (bytes + 15) & ~15;
}

/** Upright pixels to the model's input by the filters its card names, bit for bit as Pillow does it. */

import { PictureRejected } from './errors.ts';
import { weigh } from './filters.ts';
import type { Kernels } from './kernels.ts';
import { kernels as fastest } from './kernels_simd.ts';
import { isDownFirst, Passes } from './passes.ts';
import { type Preprocessing, reducedSize, type WeightedFilter } from './preprocessing.ts';
import { type Box, centres, type Turn, UPRIGHT, usedBox } from './sampling.ts';

/** Writes the input made of `rgb` to `out`. */
export type Resample = (rgb: Uint8Array, out: Uint8Array) => void;

/**
 * Bring an upright picture to the model's size, as its card says.
 *
 * @param rgb width*height*3 bytes, red first.
 * @param how the card's specification.
 * @returns how.height*how.width*3 bytes, still 0..255 and unscaled, in how.channel_order.
 * @throws PictureRejected the bytes are not that many.
 */
export function toInput(rgb: Uint8Array, width: number, height: number, how: Preprocessing): Uint8Array {
  if (width < 1 || height < 1 || rgb.length !== width * height * 3) {
    throw new PictureRejected(`${width}x${height} pixels of 3 bytes are not ${rgb.length} bytes`);
  }
  const out = new Uint8Array(how.height * how.width * 3);
  resampler(width, height, how)(rgb, out);
  return out;
}

/**
 * What `toInput` does with every picture of one size, its tables made once.
 *
 * @param width of the pictures; as are `height` and `how`.
 * @param kernels for tests; the fastest when left out.
 */
export function resampler(width: number, height: number, how: Preprocessing, kernels?: Kernels): Resample {
  return picksOnly(width, height, how)
    ? picking(width, height, how)
    : filtering(width, height, how, kernels ?? fastest());
}

/** Whether the model's input is made of pixels of the picture as they are. */
export function picksOnly(width: number, height: number, how: Preprocessing): boolean {
  const [toWidth, toHeight] = reducedSize(width, height, how);
  return how.filter === 'nearest' && toWidth === width && toHeight === height;
}

/**
 * Makes the input of pictures of one size, where filters weigh their pixels, from rows that are given one by one.
 *
 * With `longest_edge` and then the nearest filter only the pixels of the reduced picture that nearest takes are made.
 */
export class Resampling {
  readonly #how: Preprocessing;
  readonly #passes: Passes;
  /** The passes to the model's size, and the reduced picture, where another filter than nearest follows. */
  readonly #then: { readonly passes: Passes; readonly rgb: Uint8Array; readonly row: number } | null = null;
  readonly kernels: Kernels;
  #out: Uint8Array = new Uint8Array(0);

  /**
   * @param width of the upright pictures; as is `height`.
   * @param turn how they are stored.
   * @param kernels for tests; the fastest when left out.
   */
  constructor(width: number, height: number, how: Preprocessing, turn: Turn = UPRIGHT, kernels: Kernels = fastest()) {
    this.#how = how;
    this.kernels = kernels;
    const [w, h] = reducedSize(width, height, how);
    const box = usedBox(w, h, how);
    const { filter } = how;
    if (w === width && h === height) {
      if (filter === 'nearest') throw new Error('pixels that are only picked are not weighed');
      this.#passes = toModel(filter, w, h, box, how, turn, kernels);
      return;
    }
    const picked = filter === 'nearest';
    const columns = picked ? centres(box.left, box.right, how.width) : undefined;
    const rows = picked ? centres(box.top, box.bottom, how.height) : undefined;
    const across = weigh(how.longest_edge_filter, width, 0, width, w, columns);
    const down = weigh(how.longest_edge_filter, height, 0, height, h, rows);
    this.#passes = new Passes(width, height, across, down, isDownFirst(width, height, w, h), turn, kernels);
    if (filter !== 'nearest') {
      const passes = toModel(filter, w, h, box, how, UPRIGHT, kernels);
      this.#then = { passes, rgb: new Uint8Array(w * h * 3), row: w * 3 };
    }
  }

  /** Indices of the stored rows that are needed, ascending. */
  get rows(): Int32Array {
    return this.#passes.rows;
  }

  /** Columns of them that are needed, from `left` (an even number) to before `right`. */
  get left(): number {
    return this.#passes.left;
  }

  get right(): number {
    return this.#passes.right;
  }

  /** Address in the memory of `kernels` from which on the bytes that `begin` was asked for are free. */
  get stage(): number {
    return this.#passes.stage;
  }

  /**
   * Begin a picture; then each of `rows` is written and given, then it is ended. Another one must not be begun between.
   *
   * @param out where to write the input.
   * @param room bytes that are needed at `stage`.
   * @param bgr whether blue comes first in what is given.
   */
  begin(out: Uint8Array, room: number, bgr = false): void {
    this.#out = out;
    const first = this.#then === null && this.#how.channel_order === 'BGR';
    this.#passes.begin(this.#then?.rgb ?? out, first === bgr ? 0 : 2, room);
  }

  /** Where columns `left` to `right` of a row are to be written, three bytes each. */
  at(row: number): number {
    return this.#passes.at(row);
  }

  /** The row has been written. */
  give(row: number): void {
    this.#passes.give(row);
  }

  /** All rows have been given: what `begin` was told is written. */
  end(): void {
    if (this.#then === null) return;
    const { passes, rgb, row } = this.#then;
    passes.begin(this.#out, this.#how.channel_order === 'RGB' ? 0 : 2, 0);
    for (const y of passes.rows) {
      this.kernels.memory.set(rgb.subarray(y * row + passes.left * 3, y * row + passes.right * 3), passes.at(y));
      passes.give(y);
    }
  }
}

function toModel(
  filter: WeightedFilter,
  width: number,
  height: number,
  box: Box,
  how: Preprocessing,
  turn: Turn,
  kernels: Kernels,
): Passes {
  const across = weigh(filter, width, box.left, box.right, how.width);
  const down = weigh(filter, height, box.top, box.bottom, how.height);
  return new Passes(width, height, across, down, isDownFirst(width, height, how.width, how.height), turn, kernels);
}

function picking(width: number, height: number, how: Preprocessing): Resample {
  const box = usedBox(width, height, how);
  const rows = centres(box.top, box.bottom, how.height).map((row) => row * width * 3);
  const columns = centres(box.left, box.right, how.width).map((column) => column * 3);
  const red = how.channel_order === 'RGB' ? 0 : 2;
  return (rgb, out) => {
    let to = 0;
    for (const row of rows) {
      for (const column of columns) {
        const from = row + column;
        out[to + red] = rgb[from]!;
        out[to + 1] = rgb[from + 1]!;
        out[to + 2 - red] = rgb[from + 2]!;
        to += 3;
      }
    }
  };
}

function filtering(width: number, height: number, how: Preprocessing, kernels: Kernels): Resample {
  const resampling = new Resampling(width, height, how, UPRIGHT, kernels);
  const { rows, left, right } = resampling;
  return (rgb, out) => {
    resampling.begin(out, 0);
    for (const row of rows) {
      kernels.memory.set(rgb.subarray((row * width + left) * 3, (row * width + right) * 3), resampling.at(row));
      resampling.give(row);
    }
    resampling.end();
  };
}

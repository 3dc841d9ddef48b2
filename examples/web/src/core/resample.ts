/** Upright pixels to the model's input by the filter its card names, bit for bit as Pillow does it. */

import { PictureRejected } from './errors.ts';
import { PRECISION_BITS, weigh, type WeightedFilter, type Weights } from './filters.ts';
import type { Preprocessing } from './preprocessing.ts';
import { centres, usedBox } from './sampling.ts';

/** Bytes of pixels, 0..255: a picture's own, or those of a canvas's ImageData. */
export type Levels = Uint8Array | Uint8ClampedArray;

/** Writes the input made of `pixels` to `out`. */
export type Resample = (pixels: Levels, out: Uint8Array) => void;

/**
 * Bring an upright picture to the model's size, as its card says.
 *
 * @param pixels width*height*channels bytes, red first. A fourth channel is ignored.
 * @param how the card's specification.
 * @param out where to write, how.height*how.width*3 bytes; made when left out.
 * @returns `out`, still 0..255 and unscaled, in how.channel_order.
 * @throws PictureRejected the bytes are not that many.
 */
export function toInput(
  pixels: Levels,
  width: number,
  height: number,
  how: Preprocessing,
  out: Uint8Array = new Uint8Array(how.height * how.width * 3),
  channels: 3 | 4 = 3,
): Uint8Array {
  const bytes = width * height * channels;
  if (width < 1 || height < 1 || pixels.length !== bytes) {
    throw new PictureRejected(
      `${width}x${height} pixels of ${channels} bytes are ${bytes} bytes, these are ${pixels.length}`,
    );
  }
  resampler(width, height, how, channels)(pixels, out);
  return out;
}

/**
 * What `toInput` does with every picture of one size, its tables and its buffer made once.
 *
 * @param width of the pictures; as are `height`, `channels` and `how`.
 */
export function resampler(width: number, height: number, how: Preprocessing, channels: 3 | 4): Resample {
  const { filter } = how;
  const resample =
    filter === 'nearest' ? picking(width, height, how, channels) : filtering(filter, width, height, how, channels);
  // One kind of array, and not two: the loops stay compiled for it.
  return (pixels, out) => resample(new Uint8Array(pixels.buffer, pixels.byteOffset, pixels.length), out);
}

function picking(width: number, height: number, how: Preprocessing, channels: number): Resample {
  const box = usedBox(width, height, how);
  const rows = centres(box.top, box.bottom, how.height).map((row) => row * width * channels);
  const columns = centres(box.left, box.right, how.width).map((column) => column * channels);
  const red = how.channel_order === 'RGB' ? 0 : 2;
  return (pixels, out) => {
    let to = 0;
    for (const row of rows) {
      for (const column of columns) {
        const from = row + column;
        out[to + red] = pixels[from]!;
        out[to + 1] = pixels[from + 1]!;
        out[to + 2 - red] = pixels[from + 2]!;
        to += 3;
      }
    }
  };
}

/**
 * Two passes, rounded to 8 bits between them. Where a side stays as it is the weights are exactly 1.
 *
 * Across first, but down first when the height shrinks by more than twice the pixels that the width does: so Pillow
 * does from version 13 on (its pull request 9549), and the order shows in the last bit or two.
 */
function filtering(
  filter: WeightedFilter,
  width: number,
  height: number,
  how: Preprocessing,
  channels: number,
): Resample {
  const box = usedBox(width, height, how);
  const across = weigh(filter, width, box.left, box.right, how.width);
  const down = weigh(filter, height, box.top, box.bottom, how.height);
  const red = how.channel_order === 'RGB' ? 0 : 2;
  if (height > how.height && height - how.height > 2 * (width - how.width)) {
    const between = new Uint8Array(how.height * width * channels);
    const pass = shorten(down, width * channels, 0);
    return (pixels, out) => {
      pass(pixels, between);
      narrow(between, width, channels, 0, how.height, across, out, red);
    };
  }
  const top = down.first[0]!;
  const rows = down.first[how.height - 1]! + down.count[how.height - 1]! - top;
  const between = new Uint8Array(rows * how.width * 3);
  const pass = shorten(down, how.width * 3, top);
  return (pixels, out) => {
    narrow(pixels, width, channels, top, rows, across, between, red);
    pass(between, out);
  };
}

/** Rows `top` to `top + rows` of a picture, each to as many pixels of 3 bytes as there are weights. */
function narrow(
  pixels: Levels,
  width: number,
  channels: number,
  top: number,
  rows: number,
  { first, count, weights, most }: Weights,
  out: Uint8Array,
  red: 0 | 2,
): void {
  const clamped = new Uint8ClampedArray(out.buffer, out.byteOffset, out.length);
  for (let row = top, to = 0; row < top + rows; row++) {
    const start = row * width * channels;
    for (let x = 0; x < first.length; x++, to += 3) {
      let [r, g, b] = [HALF, HALF, HALF];
      let from = start + first[x]! * channels;
      const end = x * most + count[x]!;
      for (let tap = x * most; tap < end; tap++, from += channels) {
        const weight = weights[tap]!;
        r = (r + Math.imul(pixels[from]!, weight)) | 0;
        g = (g + Math.imul(pixels[from + 1]!, weight)) | 0;
        b = (b + Math.imul(pixels[from + 2]!, weight)) | 0;
      }
      clamped[to + red] = r >> PRECISION_BITS;
      clamped[to + 1] = g >> PRECISION_BITS;
      clamped[to + 2 - red] = b >> PRECISION_BITS;
    }
  }
}

/** As many rows of `length` bytes as there are weights, out of rows of which the first given is row `top`. */
function shorten({ first, count, weights, most }: Weights, length: number, top: number): Resample {
  const sums = new Int32Array(length);
  return (pixels, out) => {
    const clamped = new Uint8ClampedArray(out.buffer, out.byteOffset, out.length);
    for (let y = 0; y < first.length; y++) {
      sums.fill(HALF);
      for (let tap = 0; tap < count[y]!; tap++) {
        const weight = weights[y * most + tap]!;
        const start = (first[y]! - top + tap) * length;
        for (let i = 0; i < length; i++) sums[i] = sums[i]! + Math.imul(pixels[start + i]!, weight);
      }
      for (let i = 0; i < length; i++) clamped[y * length + i] = sums[i]! >> PRECISION_BITS;
    }
  };
}

const HALF = 1 << (PRECISION_BITS - 1);

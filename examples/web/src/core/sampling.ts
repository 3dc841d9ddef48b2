/** Which part of a picture is used, and where in it the pixels of the model's input lie, exactly as in Pillow. */

import type { Preprocessing } from './preprocessing.ts';

/** Pixels from the picture's upper left corner, in single precision: so Pillow keeps a box. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** How a picture that is stored turned becomes upright. */
export interface Turn {
  /** Whether upright's first pixel is at the stored picture's right edge, and at its bottom edge. */
  readonly right: boolean;
  readonly bottom: boolean;
  /** Whether upright's rows are stored as columns. */
  readonly swaps: boolean;
}

/** Stored as it is. */
export const UPRIGHT: Turn = { right: false, bottom: false, swaps: false };

/** The part of a width x height picture that is used. */
export function usedBox(width: number, height: number, how: Preprocessing): Box {
  let [usedWidth, usedHeight] = [width, height];
  if (how.fit === 'crop') {
    // The side that limits is used whole, exactly.
    if (width * how.height > height * how.width) usedWidth = (height * how.width) / how.height;
    else usedHeight = (width * how.height) / how.width;
  }
  const [left, top] = [(width - usedWidth) / 2, (height - usedHeight) / 2];
  return {
    left: Math.fround(left),
    top: Math.fround(top),
    right: Math.fround(left + usedWidth),
    bottom: Math.fround(top + usedHeight),
  };
}

/** Index of the source pixel under each of `count` output centres, summed up step by step as Pillow does. */
export function centres(start: number, stop: number, count: number): Int32Array {
  const step = Math.fround(stop - start) / count;
  const last = Math.ceil(stop) - 1;
  const indices = new Int32Array(count);
  let at = start + step * 0.5;
  for (let i = 0; i < count; i++) {
    indices[i] = Math.min(Math.max(Math.trunc(at), 0), last);
    at += step;
  }
  return indices;
}

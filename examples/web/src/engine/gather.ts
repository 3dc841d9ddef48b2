/** Photographs to the model's input row by row, as they are stored: the upright picture is never whole in memory. */

import type { Preprocessing } from '../core/card.ts';
import { turnOf } from '../core/orientation.ts';
import { Resampling } from '../core/resample.ts';
import { centres, usedBox } from '../core/sampling.ts';
import { type Drawable, flatten, overWhite, readRows } from './canvas.ts';

/**
 * The model's input, as `toInput` makes it of the upright picture, where filters weigh its pixels.
 *
 * @param orientation EXIF's, 1..8: how the drawable has to be turned to be upright.
 * @returns how.height*how.width*3 bytes in how.channel_order.
 */
export function weighRows(from: Drawable, orientation: number, how: Preprocessing): Uint8Array {
  const turn = turnOf(orientation);
  const [width, height] = turn.swaps ? [from.height, from.width] : [from.width, from.height];
  const resampling = new Resampling(width, height, how, turn);
  const { kernels, rows, left, right, stage } = resampling;
  const out = new Uint8Array(how.height * how.width * 3);
  resampling.begin(out, (right - left) * 4);
  readRows(from, rows, (rgba, place) => {
    const wanted = rgba.subarray(left * 4, right * 4);
    flatten(wanted);
    kernels.memory.set(wanted, stage);
    kernels.rgb(stage, 4, resampling.at(rows[place]!), right - left);
    resampling.give(rows[place]!);
  });
  resampling.end();
  return out;
}

/**
 * The same where the input is made of pixels as they are: only the rows that it takes are ever drawn.
 *
 * @param orientation EXIF's, 1..8: how the drawable has to be turned to be upright.
 * @returns how.height*how.width*3 bytes in how.channel_order.
 */
export function gather(from: Drawable, orientation: number, how: Preprocessing): Uint8Array {
  const turn = turnOf(orientation);
  const [width, height] = turn.swaps ? [from.height, from.width] : [from.width, from.height];
  const box = usedBox(width, height, how);
  const across = centres(box.left, box.right, how.width);
  const down = centres(box.top, box.bottom, how.height);
  const [alongX, alongY] = turn.swaps ? [down, across] : [across, down];
  const columns = turn.right ? alongX.map((x) => from.width - 1 - x) : alongX;
  const rows = turn.bottom ? alongY.map((y) => from.height - 1 - y) : alongY;
  const [rowStep, columnStep] = turn.swaps ? [3, how.width * 3] : [how.width * 3, 3];
  const red = how.channel_order === 'RGB' ? 0 : 2;
  const out = new Uint8Array(how.height * how.width * 3);
  readRows(from, rows, (rgba, row) => {
    columns.forEach((column, place) => {
      const [at, to] = [4 * column, row * rowStep + place * columnStep];
      const alpha = rgba[at + 3]!;
      out[to + red] = overWhite(rgba[at]!, alpha);
      out[to + 1] = overWhite(rgba[at + 1]!, alpha);
      out[to + 2 - red] = overWhite(rgba[at + 2]!, alpha);
    });
  });
  return out;
}

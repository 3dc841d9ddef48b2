/** The definition of the step `longest_edge` and of Pillow's two passes, over whole pictures and without any haste. */

import { PRECISION_BITS, weigh, type Weights } from '../src/core/filters.ts';
import { type Preprocessing, reducedSize, type WeightedFilter } from '../src/core/preprocessing.ts';
import { type Box, centres, usedBox } from '../src/core/sampling.ts';

interface Picture {
  readonly rgb: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** What `toInput` must give. */
export function inputByDefinition(rgb: Uint8Array, width: number, height: number, how: Preprocessing): Uint8Array {
  const [w, h] = reducedSize(width, height, how);
  const whole = { left: 0, top: 0, right: width, bottom: height };
  const before = { rgb, width, height };
  const reduced = w === width && h === height ? before : resized(before, w, h, how.longest_edge_filter, whole);
  const box = usedBox(w, h, how);
  const { rgb: input } =
    how.filter === 'nearest' ? picked(reduced, how, box) : resized(reduced, how.width, how.height, how.filter, box);
  return how.channel_order === 'RGB' ? input : input.map((_, i) => input[i - (i % 3) + 2 - (i % 3)]!);
}

function picked({ rgb, width }: Picture, how: Preprocessing, box: Box): Picture {
  const columns = [...centres(box.left, box.right, how.width)];
  const pixels = [...centres(box.top, box.bottom, how.height)].flatMap((y) => columns.map((x) => 3 * (y * width + x)));
  return { rgb: Uint8Array.from(pixels.flatMap((at) => [...rgb.subarray(at, at + 3)])), ...how };
}

function resized(picture: Picture, width: number, height: number, filter: WeightedFilter, box: Box): Picture {
  const across = weigh(filter, picture.width, box.left, box.right, width);
  const down = weigh(filter, picture.height, box.top, box.bottom, height);
  const lost = picture.height - height;
  return lost > 0 && lost > 2 * (picture.width - width)
    ? narrowed(shortened(picture, down), across)
    : shortened(narrowed(picture, across), down);
}

function narrowed({ rgb, width, height }: Picture, weights: Weights): Picture {
  const wide = weights.first.length;
  const out = new Uint8ClampedArray(wide * height * 3);
  for (let i = 0; i < out.length; i++) {
    const [x, y] = [Math.floor(i / 3) % wide, Math.floor(i / 3 / wide)];
    out[i] = weighted(weights, x, (at) => rgb[(y * width + at) * 3 + (i % 3)]!);
  }
  return { rgb: new Uint8Array(out), width: wide, height };
}

function shortened({ rgb, width }: Picture, weights: Weights): Picture {
  const high = weights.first.length;
  const out = new Uint8ClampedArray(width * high * 3);
  for (let i = 0; i < out.length; i++) {
    const [rest, y] = [i % (width * 3), Math.floor(i / 3 / width)];
    out[i] = weighted(weights, y, (at) => rgb[at * width * 3 + rest]!);
  }
  return { rgb: new Uint8Array(out), width, height: high };
}

function weighted({ first, count, weights, most }: Weights, output: number, level: (at: number) => number): number {
  let sum = 1 << (PRECISION_BITS - 1);
  for (let tap = 0; tap < count[output]!; tap++) sum += level(first[output]! + tap) * weights[output * most + tap]!;
  return Math.floor(sum / (1 << PRECISION_BITS));
}

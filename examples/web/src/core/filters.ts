/** Pillow's antialiasing filters (libImaging/Resample.c) as the integer weights with which it works on 8-bit levels. */

import type { WeightedFilter } from './preprocessing.ts';

/** Bits after the point of a weight. A level, a weight and the sum of a filter's lobes still fit 32 bits. */
export const PRECISION_BITS = 32 - 8 - 2;

/** For each wanted output pixel along one axis the source pixels it is made of. */
export interface Weights {
  /** Index of the first source pixel. */
  readonly first: Int32Array;
  /** How many there are. */
  readonly count: Int32Array;
  /** `most` weights for each output pixel, in steps of 2^-PRECISION_BITS. */
  readonly weights: Int32Array;
  readonly most: number;
}

interface Kernel {
  /** Half its width, in pixels of the smaller of source and output. */
  readonly support: number;
  at(x: number): number;
}

const BICUBIC = -0.5;
// Written in C with the suffix f, and so single precision.
const HAMMING = [Math.fround(0.54), Math.fround(0.46)] as const;

const KERNELS: Readonly<Record<WeightedFilter, Kernel>> = {
  box: { support: 0.5, at: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bilinear: { support: 1, at: (x) => Math.max(0, 1 - Math.abs(x)) },
  hamming: {
    support: 1,
    at: (x) => (Math.abs(x) >= 1 ? 0 : sinc(x) * (x === 0 ? 1 : HAMMING[0] + HAMMING[1] * Math.cos(Math.PI * x))),
  },
  bicubic: { support: 2, at: bicubic },
  lanczos: { support: 3, at: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

/**
 * The weights of one axis.
 *
 * @param size pixels of the source along it.
 * @param start where the used part begins, single precision.
 * @param stop where it ends.
 * @param outputs pixels of the output.
 * @param wanted indices of those whose weights are wanted; all when left out.
 */
export function weigh(
  filter: WeightedFilter,
  size: number,
  start: number,
  stop: number,
  outputs: number,
  wanted: Int32Array = Int32Array.from({ length: outputs }, (_, i) => i),
): Weights {
  const kernel = KERNELS[filter];
  const scale = Math.fround(stop - start) / outputs;
  const stretched = Math.max(scale, 1); // a filter is widened to shrink a picture, never narrowed to enlarge one
  const support = kernel.support * stretched;
  const narrowed = 1 / stretched;
  const most = Math.ceil(support) * 2 + 1;
  const { length } = wanted;
  const [first, count, weights] = [new Int32Array(length), new Int32Array(length), new Int32Array(length * most)];
  const exact = new Float64Array(most);
  for (let i = 0; i < length; i++) {
    const centre = start + (wanted[i]! + 0.5) * scale;
    const from = Math.max(Math.trunc(centre - support + 0.5), 0);
    const taps = Math.min(Math.trunc(centre + support + 0.5), size) - from;
    let total = 0;
    for (let tap = 0; tap < taps; tap++) {
      const weight = kernel.at((tap + from - centre + 0.5) * narrowed);
      exact[tap] = weight;
      total += weight;
    }
    first[i] = from;
    count[i] = taps;
    for (let tap = 0; tap < taps; tap++)
      weights[i * most + tap] = fixed(total === 0 ? exact[tap]! : exact[tap]! / total);
  }
  return { first, count, weights, most };
}

function fixed(weight: number): number {
  return Math.trunc(weight * 2 ** PRECISION_BITS + (weight < 0 ? -0.5 : 0.5));
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

function bicubic(signed: number): number {
  const x = Math.abs(signed);
  if (x < 1) return ((BICUBIC + 2) * x - (BICUBIC + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * BICUBIC : 0;
}

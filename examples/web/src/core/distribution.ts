/** The mathematics of rating histograms, as `edge_nima/distribution.py`: ten proportions for the ratings 1..10. */

import { ModelRejected } from './errors.ts';

/** Ratings, and so the numbers that a model gives. */
export const BINS = 10;

/** How far rounding each of the ten to 1/256 can move their sum, and a little more. */
const SUM_TOLERANCE = (BINS * 0.5) / 256 + 0.001;
const LEAST = -1e-6;

/**
 * Scale votes or proportions so that they sum to 1.
 *
 * @param histogram ten votes or proportions of the ratings 1..10, finite and not negative.
 * @throws RangeError there are not ten, one is negative or not finite, or all are zero.
 */
export function asDistribution(histogram: ArrayLike<number>): Float64Array {
  const h = Float64Array.from(histogram);
  if (h.length !== BINS) throw new RangeError(`a rating histogram has ${BINS} bins, this one has ${h.length}`);
  if (!h.every((p) => Number.isFinite(p) && p >= 0)) {
    throw new RangeError('a rating histogram holds a value that is not finite, or negative');
  }
  const total = sum(h);
  if (total === 0) throw new RangeError('a rating histogram is all zero: nobody rated');
  return h.map((p) => p / total);
}

/**
 * Mean opinion score, sum over k of k * p_k (Talebi and Milanfar 2018, section III-A), in 1..10.
 *
 * @param distribution ten votes or proportions.
 * @throws RangeError as `asDistribution`.
 */
export function meanRating(distribution: ArrayLike<number>): number {
  return Math.min(10, Math.max(1, expected(asDistribution(distribution))));
}

/**
 * Standard deviation of the ratings around their mean, rating points, 0..4.5.
 *
 * @param distribution ten votes or proportions.
 * @throws RangeError as `asDistribution`.
 */
export function ratingStd(distribution: ArrayLike<number>): number {
  const p = asDistribution(distribution);
  const mean = expected(p);
  return Math.sqrt(sum(p.map((share, i) => share * (i + 1 - mean) ** 2)));
}

/**
 * A model's output as a distribution, divided by its sum.
 *
 * A quantised softmax rounds each of the ten to 1/256, also when its output is then widened to float32.
 *
 * @param raw the ten numbers that the model gave.
 * @throws ModelRejected one is not finite or negative, or their sum is further from 1 than rounding explains.
 */
export function fromOutput(raw: ArrayLike<number>): Float64Array {
  const p = Float64Array.from(raw);
  if (p.length !== BINS) throw new ModelRejected(`a scorer gives ${BINS} numbers, this model gave ${p.length}`);
  const [total, least] = [sum(p), Math.min(...p)];
  if (!p.every(Number.isFinite) || least < LEAST || Math.abs(total - 1) > SUM_TOLERANCE) {
    throw new ModelRejected(
      `the model's output is not a distribution: it sums to ${total.toFixed(4)}, smallest value ` +
        `${least.toFixed(4)}; a NIMA scorer ends in a softmax over ten ratings`,
    );
  }
  const rounded = p.map((share) => Math.max(0, share)); // a rounding error below 0 is no share of anybody
  const all = sum(rounded);
  return rounded.map((share) => share / all);
}

function expected(p: Float64Array): number {
  return sum(p.map((share, i) => share * (i + 1)));
}

/** In NumPy's order, eight side by side and the rest after them: the same bits as there. */
function sum(p: Float64Array): number {
  const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0, i = 0, j = 0] = p;
  return a + b + (c + d) + (e + f + (g + h)) + i + j;
}

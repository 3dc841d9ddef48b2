import { describe, expect, it } from 'vitest';

import { asDistribution, BINS, fromOutput, meanRating, ratingStd } from '../src/core/distribution.ts';
import { ModelRejected } from '../src/core/errors.ts';
import { Random } from './random.ts';
import { describeVectors } from './vectors.ts';

/** NumPy's dot product sums in the order of the processor's registers: the last bits differ from machine to machine. */
const LAST_BITS = 1e-14;

describeVectors('histograms of the vectors', ({ distributions, outputs }) => {
  it('scale to the very numbers of Python, and have its mean and std', () => {
    for (const { votes, distribution, mean, std } of distributions) {
      expect([...asDistribution(votes)]).toEqual(distribution);
      expect(Math.abs(meanRating(votes) - mean)).toBeLessThan(LAST_BITS);
      expect(Math.abs(ratingStd(votes) - std)).toBeLessThan(LAST_BITS);
    }
  });

  it.each(outputs)('of an output come to the very numbers of Python, or are refused: $raw', ({ raw, distribution }) => {
    if (distribution === null) expect(() => fromOutput(Float32Array.from(raw))).toThrow(ModelRejected);
    else expect([...fromOutput(Float32Array.from(raw))]).toEqual(distribution);
  });
});

const one = (rating: number): number[] => Array.from({ length: BINS }, (_, i) => (i === rating - 1 ? 1 : 0));

describe('a histogram of ratings', () => {
  it('has its one rating for mean and no spread when all agree', () => {
    for (let rating = 1; rating <= 10; rating++) {
      expect(meanRating(one(rating))).toBe(rating);
      expect(ratingStd(one(rating))).toBe(0);
    }
  });

  it('has the largest spread, 4.5, when half say 1 and half say 10', () => {
    const torn = one(1).map((p, i) => p + one(10)[i]!);
    expect([meanRating(torn), ratingStd(torn)]).toEqual([5.5, 4.5]);
  });

  it('sums to 1, has a mean in 1..10, and does not change with the number of voters', () => {
    const random = new Random(14);
    for (let round = 0; round < 500; round++) {
      const votes = Array.from({ length: BINS }, () => random.whole(0, 300) + 1);
      const p = asDistribution(votes);
      expect(Math.abs(p.reduce((a, b) => a + b) - 1)).toBeLessThan(LAST_BITS);
      expect(meanRating(votes)).toBeGreaterThan(1);
      expect(meanRating(votes)).toBeLessThan(10);
      expect(meanRating(votes.map((v) => v * 7))).toBeCloseTo(meanRating(votes), 12);
    }
  });

  it.each<[string, number[]]>([
    ['nine bins', one(1).slice(1)],
    ['a negative value', [-0.25, ...one(2).slice(1)]],
    ['NaN', [NaN, ...one(2).slice(1)]],
    ['infinity', [Infinity, ...one(2).slice(1)]],
    ['only zeros', Array<number>(10).fill(0)],
  ])('refuses %s', (_, votes) => {
    for (const read of [asDistribution, meanRating, ratingStd]) expect(() => read(votes)).toThrow(RangeError);
  });
});

describe("a model's output", () => {
  it.each<[string, number[]]>([
    ['NaN', [NaN, ...one(2).slice(1)]],
    ['infinity', [Infinity, ...one(2).slice(1)]],
    ['nine numbers', one(1).slice(1)],
    ['a sum that rounding does not explain', one(1).map((p) => p * 1.03)],
  ])('is refused with %s', (_, raw) => {
    expect(() => fromOutput(raw)).toThrow(ModelRejected);
  });
});

import { expect, it } from 'vitest';

import { Best } from '../src/core/best.ts';

it('keeps the highest mean, the earlier of equal ones, and releases each other item once', () => {
  const released: string[] = [];
  const best = new Best<string>((item) => released.push(item));
  expect([best.item, best.mean]).toEqual([null, -Infinity]);
  const kept = (
    [
      [5, 'a'],
      [4, 'b'],
      [5, 'c'],
      [6, 'd'],
      [NaN, 'e'],
      [6, 'f'],
    ] as const
  ).map(([mean, item]) => best.offer(mean, item));
  expect(kept).toEqual([true, false, false, true, false, false]);
  expect([best.item, best.mean]).toEqual(['d', 6]);
  expect(released).toEqual(['b', 'c', 'a', 'e', 'f']);
});

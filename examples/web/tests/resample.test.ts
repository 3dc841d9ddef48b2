import { describe, expect, it } from 'vitest';

import { FILTERS } from '../src/core/preprocessing.ts';
import { resampler, toInput } from '../src/core/resample.ts';
import { centres, usedBox } from '../src/core/sampling.ts';
import { HOW, Random } from './random.ts';
import { Differences } from './vectors.ts';

describe('resampling', () => {
  it('leaves a picture of the size that is wanted as it is, by every filter', () => {
    const random = new Random(2);
    const pixels = random.bytes(31 * 17 * 3);
    for (const filter of FILTERS) {
      const how = { ...HOW, width: 31, height: 17, filter, antialias: filter !== 'nearest' };
      expect([...toInput(pixels, 31, 17, how)], filter).toEqual([...pixels]);
    }
  });

  it('keeps one colour one colour, by every filter and to every size', () => {
    const random = new Random(3);
    for (let round = 0; round < 60; round++) {
      const how = random.preprocessing(random.of(FILTERS));
      const [width, height, level] = [random.whole(1, 300), random.whole(1, 300), random.whole(0, 255)];
      const input = toInput(new Uint8Array(width * height * 3).fill(level), width, height, how);
      expect(new Set(input), `${width}x${height} ${JSON.stringify(how)}`).toEqual(new Set([level]));
    }
  });

  it('swaps red and blue for BGR, and nothing else', () => {
    const random = new Random(4);
    const pixels = random.bytes(50 * 40 * 3);
    for (const filter of FILTERS) {
      const how = { ...HOW, width: 20, height: 30, filter, antialias: filter !== 'nearest' };
      const rgb = toInput(pixels, 50, 40, how);
      const bgr = toInput(pixels, 50, 40, { ...how, channel_order: 'BGR' });
      expect([...bgr]).toEqual(Array.from(rgb, (_, i) => rgb[i - (i % 3) + 2 - (i % 3)]!));
    }
  });

  it('averages by box what falls on one pixel', () => {
    const how = { ...HOW, width: 1, height: 1, filter: 'box', antialias: true } as const;
    const levels = [10, 20, 30, 60].flatMap((level) => [level, 0, 255]);
    expect([...toInput(Uint8Array.from(levels), 2, 2, how)]).toEqual([30, 0, 255]);
  });

  it('writes where it is told to, and uses its buffers again without a trace', () => {
    const random = new Random(5);
    const how = { ...HOW, filter: 'lanczos', antialias: true } as const;
    const resample = resampler(90, 300, how);
    const out = new Uint8Array(224 * 224 * 3);
    for (let round = 0; round < 3; round++) {
      const pixels = random.bytes(90 * 300 * 3);
      resample(pixels, out);
      expect(new Differences().add(out, toInput(pixels, 90, 300, how)).unequal).toBe(0);
    }
  });

  it('refuses bytes that are not the picture', () => {
    expect(() => toInput(new Uint8Array(11), 2, 2, HOW)).toThrow('2x2 pixels of 3 bytes are not 11 bytes');
    expect(() => toInput(new Uint8Array(0), 0, 2, HOW)).toThrow('0x2 pixels of 3 bytes are not 0 bytes');
  });
});

describe('the used part of a picture', () => {
  it('is all of it to stretch, and the largest centred part of the aspect ratio to crop', () => {
    expect(usedBox(640, 480, HOW)).toEqual({ left: 0, top: 0, right: 640, bottom: 480 });
    expect(usedBox(640, 480, { ...HOW, fit: 'crop' })).toEqual({ left: 80, top: 0, right: 560, bottom: 480 });
    expect(usedBox(480, 640, { ...HOW, fit: 'crop' })).toEqual({ left: 0, top: 80, right: 480, bottom: 560 });
    expect(usedBox(480, 480, { ...HOW, fit: 'crop' })).toEqual({ left: 0, top: 0, right: 480, bottom: 480 });
  });

  it.each([
    [3458, 4160, 97, 224, 'x', 6, 949],
    [2946, 2124, 299, 300, 'x', 49, 764],
    [4878, 3460, 299, 300, 'x', 14, 882],
    [4056, 5628, 299, 224, 'y', 31, 1721],
  ] as const)(
    'is measured in single precision, as Pillow does: %dx%d to %dx%d',
    (w, h, width, height, axis, at, right) => {
      const { left, top, right: end, bottom } = usedBox(w, h, { ...HOW, width, height, fit: 'crop' });
      const places = axis === 'x' ? centres(left, end, width) : centres(top, bottom, height);
      expect(places[at]).toBe(right); // a double for the length lands on the pixel beside it
    },
  );

  it('never reaches beyond the picture, whatever rounding does', () => {
    const random = new Random(13);
    for (let round = 0; round < 2000; round++) {
      const [width, height] = [random.whole(1, 9000), random.whole(1, 9000)];
      const how = { ...random.preprocessing('nearest'), fit: 'crop' as const };
      const { left, top, right, bottom } = usedBox(width, height, how);
      expect(left >= 0 && top >= 0 && right <= width && bottom <= height && left < right && top < bottom).toBe(true);
      const columns = centres(left, right, how.width);
      expect(columns.every((at, i) => at >= 0 && at < width && (i === 0 || at >= columns[i - 1]!))).toBe(true);
    }
  });
});

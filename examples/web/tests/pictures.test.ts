import { afterAll, expect, it } from 'vitest';

import { describe as described } from '../src/core/card.ts';
import { JavaScriptKernels } from '../src/core/kernels.ts';
import { SimdKernels } from '../src/core/kernels_simd.ts';
import { orient, takeOrientation } from '../src/core/orientation.ts';
import { resampler } from '../src/core/resample.ts';
import { decodePng } from './png.ts';
import { describeVectors, Differences, readPixels, readVector } from './vectors.ts';

const BOTH = [new SimdKernels(), new JavaScriptKernels()];

describeVectors('pictures of the vectors', ({ pictures, preprocessings, preprocessings_described }) => {
  const all = new Differences();
  afterAll(() => console.log(`pictures' inputs against Python's: ${all}`));

  for (const picture of pictures.filter(({ format }) => format === 'png')) {
    it(`${picture.name} decodes to Python's upright pixels`, () => {
      const bytes = readVector(picture.file);
      const orientation = takeOrientation(bytes);
      const { rgb, width, height } = decodePng(bytes);
      const turned = orient(rgb, width, height, orientation);
      expect([orientation, turned.width, turned.height]).toEqual([picture.orientation, picture.width, picture.height]);
      const right = readPixels(picture.upright, picture.width, picture.height);
      expect(new Differences().add(turned.rgb, right).largest).toBe(0);
    });
  }

  for (const picture of pictures) {
    it(`${picture.name} says its orientation once`, () => {
      const bytes = readVector(picture.file);
      const before = bytes.slice();
      expect(takeOrientation(bytes)).toBe(picture.orientation);
      expect(takeOrientation(bytes)).toBe(1);
      // The value and, in a PNG, the chunk's sum: two bytes and four.
      const changed = bytes.reduce((count, byte, i) => count + (byte === before[i] ? 0 : 1), 0);
      expect(changed).toBeLessThanOrEqual(picture.orientation === 1 ? 0 : 5);
    });

    for (const [name, file] of Object.entries(picture.inputs)) {
      it(`${picture.name} becomes Python's input by ${name}`, () => {
        const how = preprocessings[name]!;
        const { width, height } = picture;
        const rgb = readPixels(picture.upright, width, height);
        const right = readPixels(file, how.width, how.height);
        for (const kernels of BOTH) {
          const input = new Uint8Array(right.length);
          resampler(width, height, how, kernels)(rgb, input);
          all.add(input, right);
          expect(new Differences().add(input, right).unequal).toBe(0);
        }
      });
    }
  }

  it('describes every preprocessing in the words of Python', () => {
    for (const [name, how] of Object.entries(preprocessings)) {
      expect(described(how)).toBe(preprocessings_described[name]);
    }
  });
});

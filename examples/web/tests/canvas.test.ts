import { expect, it } from 'vitest';

import { overWhite } from '../src/engine/canvas.ts';

/** Pillow's alpha_composite (libImaging/AlphaComposite.c) over an opaque white pixel. */
function pillow(level: number, alpha: number): number {
  if (alpha === 0) return 255;
  const blend = 255 * (255 - alpha);
  const out = alpha * 255 + blend;
  const coefficient = Math.trunc((alpha * 255 * 255 * 128) / out);
  const sum = level * coefficient + 255 * (255 * 128 - coefficient) + (0x80 << 7);
  return (((sum >> 8) + sum) >> 8) >> 7;
}

/** What is left of a level in a canvas, which keeps levels multiplied by alpha and rounded. */
function throughCanvas(level: number, alpha: number): number {
  const kept = Math.round((level * alpha) / 255);
  return alpha === 0 ? 0 : Math.min(255, Math.round((kept * 255) / alpha));
}

it('puts every level with every alpha over white as Pillow does, also after a canvas has rounded it', () => {
  const wrong: [number, number][] = [];
  for (let alpha = 0; alpha < 256; alpha++) {
    for (let level = 0; level < 256; level++) {
      const wanted = pillow(level, alpha);
      const same = overWhite(level, alpha) === wanted && overWhite(throughCanvas(level, alpha), alpha) === wanted;
      if (!same) wrong.push([level, alpha]);
    }
  }
  expect(wrong).toEqual([]);
  expect(overWhite(0, 128)).toBe(127);
});

import { decode } from 'fast-png';

import { overWhite } from '../src/engine/canvas.ts';

/** A PNG file of 1 to 8 bits as it is stored, alpha over white: what the browser's decoder gives, without a browser. */
export function decodePng(png: Uint8Array): { rgb: Uint8Array; width: number; height: number } {
  const { width, height, data, channels, depth, palette, transparency } = decode(png);
  const count = width * height;
  const rgb = new Uint8Array(count * 3);
  for (let i = 0; i < count; i++) {
    const [r, g, b, alpha] = pixel(i);
    rgb.set([overWhite(r, alpha), overWhite(g, alpha), overWhite(b, alpha)], i * 3);
  }
  return { rgb, width, height };

  function pixel(i: number): [number, number, number, number] {
    if (palette !== undefined || depth < 8) {
      const index = bits(Math.floor(i / width), i % width);
      const [r = 0, g = 0, b = 0, alpha = 255] =
        palette?.[index] ?? Array<number>(3).fill((index * 255) / (2 ** depth - 1));
      return [r, g, b, transparency?.[index] === undefined ? alpha : transparency[index]];
    }
    const [first = 0, second = 0, third = 0, fourth = 255] = data.subarray(i * channels, (i + 1) * channels);
    return channels < 3 ? [first, first, first, channels === 2 ? second : 255] : [first, second, third, fourth];
  }

  function bits(row: number, column: number): number {
    const at = column * depth;
    const byte = data[row * Math.ceil((width * depth) / 8) + (at >> 3)] ?? 0;
    return (byte >> (8 - depth - (at & 7))) & (2 ** depth - 1);
  }
}

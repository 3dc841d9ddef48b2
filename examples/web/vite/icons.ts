/** The icon as PNG files, for phones whose home screen takes no SVG. Drawn from icon.svg, which is rectangles only. */

import { readFileSync } from 'node:fs';

import { encode } from 'fast-png';
import type { Plugin } from 'vite';

interface Shape {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly rx: number;
  readonly fill: readonly number[];
}

/** Side of icon.svg's view box. */
const VIEW = 32;
const SAMPLES = 4;

/** Emits apple-touch-icon.png, icon-512.png and icon-maskable.png. */
export function icons(svg: string): Plugin {
  return {
    name: 'edge-nima-icons',
    apply: 'build',
    generateBundle() {
      const shapes = read(readFileSync(svg, 'utf8'));
      // Systems cut their own corners, of a maskable icon all but a circle of four fifths: the bars stay inside.
      const drawings = {
        'icon-512.png': [512, 1, false],
        'icon-maskable.png': [512, 0.85, true],
        'apple-touch-icon.png': [180, 1, true],
      } as const;
      for (const [fileName, [side, scale, square]] of Object.entries(drawings)) {
        const data = draw(shapes, side, scale, square);
        this.emitFile({ type: 'asset', fileName, source: encode({ width: side, height: side, data, channels: 4 }) });
      }
    },
  };
}

function read(svg: string): Shape[] {
  const group = /<g fill="#(\w+)">/.exec(svg)?.[1] ?? '000000';
  return [...svg.matchAll(/<rect ([^>]*)\/>/g)].map(([, attributes = '']) => {
    const value = (name: string): string | undefined => new RegExp(`(?:^| )${name}="#?([^"]*)"`).exec(attributes)?.[1];
    const number = (name: string): number => Number(value(name) ?? 0);
    const colour = Number.parseInt(value('fill') ?? group, 16);
    const fill = [colour >> 16, (colour >> 8) & 255, colour & 255, 255];
    return { x: number('x'), y: number('y'), width: number('width'), height: number('height'), rx: number('rx'), fill };
  });
}

/** RGBA: the mean of 4 x 4 samples in each pixel. */
function draw([ground, ...bars]: Shape[], side: number, scale: number, square: boolean): Uint8Array {
  if (ground === undefined) throw new Error('icon.svg holds no rectangle');
  const data = new Uint8Array(side * side * 4);
  const step = VIEW / side / SAMPLES;
  const back = square ? { ...ground, rx: 0 } : ground;
  for (let pixel = 0; pixel < side * side; pixel++) {
    const sum = [0, 0, 0, 0];
    for (let sample = 0; sample < SAMPLES * SAMPLES; sample++) {
      const x = ((pixel % side) * SAMPLES + (sample % SAMPLES) + 0.5) * step;
      const y = (Math.floor(pixel / side) * SAMPLES + Math.floor(sample / SAMPLES) + 0.5) * step;
      const inner = (at: number): number => VIEW / 2 + (at - VIEW / 2) / scale;
      const hit = bars.find((bar) => within(bar, inner(x), inner(y))) ?? (within(back, x, y) ? back : undefined);
      hit?.fill.forEach((level, channel) => (sum[channel] = sum[channel]! + level));
    }
    // Where only a part of the samples is inside, the colour is that part's and the alpha its share.
    const inside = sum[3]! / 255;
    for (let channel = 0; channel < 3; channel++)
      data[pixel * 4 + channel] = inside > 0 ? Math.round(sum[channel]! / inside) : 0;
    data[pixel * 4 + 3] = Math.round(sum[3]! / SAMPLES ** 2);
  }
  return data;
}

function within({ x, y, width, height, rx }: Shape, atX: number, atY: number): boolean {
  const acrossX = Math.max(x + rx - atX, 0, atX - (x + width - rx));
  const acrossY = Math.max(y + rx - atY, 0, atY - (y + height - rx));
  return rx > 0 ? Math.hypot(acrossX, acrossY) <= rx : acrossX === 0 && acrossY === 0;
}

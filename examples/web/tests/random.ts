import type { Preprocessing } from '../src/core/card.ts';
import { type CameraBuffer, MATRICES } from '../src/core/frames.ts';

/** What most cards say. */
export const HOW: Preprocessing = {
  width: 224,
  height: 224,
  fit: 'stretch',
  filter: 'nearest',
  antialias: false,
  channel_order: 'RGB',
  scale: 1 / 127.5,
  offset: -1,
  scaling: 'graph',
  longest_edge: null,
  longest_edge_filter: 'lanczos',
  layout: 'NHWC',
};

/** The same numbers for the same seed (mulberry32): a failing round can be run again. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed;
  }

  /** In 0 to 1, below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** From `low` to `high`, both possible. */
  whole(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  of<T>(possible: readonly T[]): T {
    return possible[this.whole(0, possible.length - 1)]!;
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.whole(0, 255));
  }

  /** Of a small output, so that many rounds take little time. */
  preprocessing(filter: Preprocessing['filter']): Preprocessing {
    return {
      ...HOW,
      filter,
      antialias: filter !== 'nearest',
      width: this.whole(1, 60),
      height: this.whole(1, 60),
      fit: this.of(['stretch', 'crop']),
      channel_order: this.of(['RGB', 'BGR']),
    };
  }

  /** A camera's, of any layout, strides, gaps, turning, of sides up to `most`; full of noise. */
  buffer(most: number): CameraBuffer {
    const layout = this.of(['RGBA_8888', 'BGRA_8888', 'YUV_420_888'] as const);
    const [width, height] = [this.whole(1, most), this.whole(1, most)];
    const yuv = layout === 'YUV_420_888';
    let end = 0;
    const planes = (yuv ? [0, 1, 1] : [0]).map((shift) => {
      const [wide, high] = [(width + shift) >> shift, (height + shift) >> shift];
      const pixelStride = yuv ? this.whole(1, 1 + shift) : 4;
      const rowStride = wide * pixelStride + this.whole(0, 9);
      const offset = end + this.whole(0, 5);
      end = offset + rowStride * high;
      return { offset, rowStride, pixelStride };
    });
    return {
      data: this.bytes(end),
      layout,
      width,
      height,
      planes,
      matrix: yuv ? this.of(Object.keys(MATRICES) as (keyof typeof MATRICES)[]) : null,
      rotation: this.of([0, 90, 180, 270] as const),
      mirror: this.of([true, false]),
    };
  }
}

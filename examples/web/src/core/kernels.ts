/** The loops over pixels of the step `longest_edge`, on rows that lie in one memory: in JavaScript. */

import { PRECISION_BITS } from './filters.ts';
import { LEVELS, type Matrix, ROUNDED } from './yuv.ts';

/** Addresses are bytes of `memory`. Up to `PADDING` bytes behind the end of a row may be read, and overwritten. */
export interface Kernels {
  /** Whose tables lie in the memory. */
  owner: object | null;
  /** Another array after `reserve`. */
  readonly memory: Uint8Array<ArrayBuffer>;
  /** See that the memory has so many bytes; it never shrinks, and what lies in it stays. */
  reserve(bytes: number): void;
  /** Keep weights, four bytes each; `at` and their number are multiples of 4. */
  weights(weights: Int32Array, at: number): void;
  /** Pixels of `stride` bytes, red first, to pixels of 3. */
  rgb(from: number, stride: number, to: number, count: number): void;
  /** A row in YUV to RGB; each U and V belongs to two pixels. */
  yuv(from: YuvRow, to: number, count: number, matrix: Matrix): void;
  /** Pixels of a row, each the weighted sum of `taps` (a multiple of 4) pixels, from the offset on that is its own. */
  across(offsets: number, weights: number, outputs: number, taps: number, from: number, to: number): void;
  /** A row of `bytes` bytes, the weighted sum of 2 * `pairs` rows of a ring, the first of them in `slot`. */
  down(weights: number, pairs: number, ring: Ring, slot: number, to: number, bytes: number): void;
}

/** Addresses of a row's first samples, and how far apart samples lie. */
export interface YuvRow {
  y: number;
  u: number;
  v: number;
  readonly yStride: number;
  readonly uStride: number;
  readonly vStride: number;
}

/** Rows, one of them in each slot; the slot behind the last is the first. */
export interface Ring {
  readonly at: number;
  /** Bytes from slot to slot, a multiple of 16. */
  readonly stride: number;
  readonly slots: number;
}

export const PADDING = 64;

const HALF = 1 << (PRECISION_BITS - 1);

/** Where WebAssembly has no vectors. */
export class JavaScriptKernels implements Kernels {
  owner: object | null = null;
  memory: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  #clamped = new Uint8ClampedArray(this.memory.buffer);
  #words = new Int32Array(this.memory.buffer);
  #sums = new Int32Array(0);

  reserve(bytes: number): void {
    if (bytes <= this.memory.length) return;
    const before = this.memory;
    this.memory = new Uint8Array((bytes + 3) & ~3);
    this.memory.set(before);
    this.#clamped = new Uint8ClampedArray(this.memory.buffer);
    this.#words = new Int32Array(this.memory.buffer);
  }

  weights(weights: Int32Array, at: number): void {
    this.#words.set(weights, at >> 2);
  }

  rgb(from: number, stride: number, to: number, count: number): void {
    const { memory } = this;
    for (let i = 0; i < count; i++, from += stride, to += 3) {
      memory[to] = memory[from]!;
      memory[to + 1] = memory[from + 1]!;
      memory[to + 2] = memory[from + 2]!;
    }
  }

  yuv(from: YuvRow, to: number, count: number, matrix: Matrix): void {
    const { memory } = this;
    const { y: yFactor, yZero, rv, gu, gv, bu } = matrix;
    const { yStride, uStride, vStride } = from;
    let { y, u, v } = from;
    for (let i = 0; i < count; i += 2, u += uStride, v += vStride) {
      const [cb, cr] = [memory[u]! - 128, memory[v]! - 128];
      const red = Math.imul(rv, cr) + ROUNDED;
      const green = Math.imul(gu, cb) + Math.imul(gv, cr) + ROUNDED;
      const blue = Math.imul(bu, cb) + ROUNDED;
      const both = i + 1 < count ? 2 : 1;
      for (let pixel = 0; pixel < both; pixel++, y += yStride, to += 3) {
        const level = Math.imul(yFactor, memory[y]! - yZero);
        memory[to] = LEVELS[(level + red) >> 16]!;
        memory[to + 1] = LEVELS[(level + green) >> 16]!;
        memory[to + 2] = LEVELS[(level + blue) >> 16]!;
      }
    }
  }

  across(offsets: number, weights: number, outputs: number, taps: number, from: number, to: number): void {
    const [memory, clamped, words] = [this.memory, this.#clamped, this.#words];
    let tap = weights >> 2;
    for (let x = 0; x < outputs; x++, to += 3) {
      let [r, g, b] = [HALF, HALF, HALF];
      let at = from + words[(offsets >> 2) + x]!;
      for (const end = tap + taps; tap < end; tap++, at += 3) {
        const weight = words[tap]!;
        r = (r + Math.imul(memory[at]!, weight)) | 0;
        g = (g + Math.imul(memory[at + 1]!, weight)) | 0;
        b = (b + Math.imul(memory[at + 2]!, weight)) | 0;
      }
      clamped[to] = r >> PRECISION_BITS;
      clamped[to + 1] = g >> PRECISION_BITS;
      clamped[to + 2] = b >> PRECISION_BITS;
    }
  }

  down(weights: number, pairs: number, { at, stride, slots }: Ring, slot: number, to: number, bytes: number): void {
    if (this.#sums.length < bytes) this.#sums = new Int32Array(bytes);
    const [memory, clamped, words, sums] = [this.memory, this.#clamped, this.#words, this.#sums];
    sums.fill(HALF, 0, bytes);
    const rows = 2 * pairs;
    for (let tap = 0; tap < rows; tap += 4) {
      // Four rows at once: most of the time goes into the sums.
      const row = (i: number): number => at + ((slot + tap + i) % slots) * stride;
      const weight = (i: number): number => (tap + i < rows ? words[(weights >> 2) + tap + i]! : 0);
      const [a, b, c, d] = [row(0), row(1), row(2), row(3)];
      const [wa, wb, wc, wd] = [weight(0), weight(1), weight(2), weight(3)];
      for (let i = 0; i < bytes; i++) {
        sums[i] =
          sums[i]! +
          Math.imul(memory[a + i]!, wa) +
          Math.imul(memory[b + i]!, wb) +
          Math.imul(memory[c + i]!, wc) +
          Math.imul(memory[d + i]!, wd);
      }
    }
    for (let i = 0; i < bytes; i++) clamped[to + i] = sums[i]! >> PRECISION_BITS;
  }
}

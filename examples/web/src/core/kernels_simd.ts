/** The loops of kernels.ts as WebAssembly with vectors of 128 bits: assembly/kernels.ts, compiled by the build. */

import code from '../../assembly/kernels.ts?assembly';
import { JavaScriptKernels, type Kernels, type Ring, type YuvRow } from './kernels.ts';
import type { Matrix } from './yuv.ts';

/** What assembly/kernels.ts exports. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  rgb(from: number, stride: number, to: number, count: number): void;
  yuv(...row: number[]): void;
  across(offsets: number, weights: number, outputs: number, taps: number, from: number, to: number): void;
  down(...ring: number[]): void;
}

const PAGE = 65536;
const LOW_BITS = 12;
const LOW = (1 << LOW_BITS) - 1;

let shared: Kernels | null = null;

/** The fastest there are here; one for all, so that there is one memory. */
export function kernels(): Kernels {
  shared ??= WebAssembly.validate(code) ? new SimdKernels() : new JavaScriptKernels();
  return shared;
}

/** Throws where WebAssembly has no vectors. */
export class SimdKernels implements Kernels {
  owner: object | null = null;
  memory: Uint8Array<ArrayBuffer>;
  readonly #wasm: Exports;

  constructor() {
    this.#wasm = new WebAssembly.Instance(new WebAssembly.Module(code)).exports as unknown as Exports;
    this.memory = this.#view();
  }

  reserve(bytes: number): void {
    const missing = bytes - this.memory.length;
    if (missing <= 0) return;
    this.#wasm.memory.grow(Math.ceil(missing / PAGE));
    this.memory = this.#view();
  }

  /** By pairs: the low bits of both, then what is above them of both, 16 bits each. */
  weights(weights: Int32Array, at: number): void {
    const parts = new Int16Array(this.memory.buffer, at, 2 * weights.length);
    for (let i = 0; i < weights.length; i++) {
      const to = 4 * (i >> 1) + (i & 1);
      parts[to] = weights[i]! & LOW;
      parts[to + 2] = weights[i]! >> LOW_BITS;
    }
  }

  rgb(from: number, stride: number, to: number, count: number): void {
    this.#wasm.rgb(from, stride, to, count);
  }

  yuv({ y, u, v, yStride, uStride, vStride }: YuvRow, to: number, count: number, matrix: Matrix): void {
    const { y: yFactor, yZero, rv, gu, gv, bu } = matrix;
    this.#wasm.yuv(y, u, v, yStride, uStride, vStride, to, count, yFactor, yZero, rv, gu, gv, bu);
  }

  across(offsets: number, weights: number, outputs: number, taps: number, from: number, to: number): void {
    this.#wasm.across(offsets, weights, outputs, taps, from, to);
  }

  down(weights: number, pairs: number, { at, stride, slots }: Ring, slot: number, to: number, bytes: number): void {
    this.#wasm.down(weights, pairs, at, stride, slots, slot, to, bytes);
  }

  #view(): Uint8Array<ArrayBuffer> {
    return new Uint8Array(this.#wasm.memory.buffer as ArrayBuffer);
  }
}

/** From levels to what a model's input wants. The only place where a scale and a zero point are used. */

import { ModelRejected } from './errors.ts';
import { type Factor, type Preprocessing, toEven } from './preprocessing.ts';

/** real = (stored - zeroPoint) * scale. */
export interface Quantization {
  readonly scale: number;
  readonly zeroPoint: number;
}

/** What each level 0..255 becomes: 256 values, or 256 for each of the three channels. */
export type InputTable = Uint8Array | Int8Array | Float32Array;

/**
 * What each level 0..255 becomes for a model; null when it takes the bytes as they are.
 *
 * @param dtype of the model's input.
 * @param how the card's specification.
 * @param quantization of the model's input, where it has one.
 * @throws ModelRejected the card and the model's input do not fit together.
 */
export function inputTable(
  dtype: 'uint8' | 'int8' | 'float32',
  how: Preprocessing,
  quantization?: Quantization,
): InputTable | null {
  if (how.scaling === 'graph') {
    if (dtype === 'uint8') return null;
    throw new ModelRejected(`the card says that scaling is in the graph, but the model's input is ${dtype}, not uint8`);
  }
  const { scale: factors, offset: offsets } = how;
  const channels = typeof factors === 'number' && typeof offsets === 'number' ? 1 : 3;
  const of = (factor: Factor, channel: number): number => (typeof factor === 'number' ? factor : factor[channel]!);
  const scaled = Float64Array.from(
    { length: 256 * channels },
    (_, i) => (i & 255) * of(factors, i >> 8) + of(offsets, i >> 8),
  );
  if (dtype === 'float32') return Float32Array.from(scaled);
  if (quantization === undefined || !(quantization.scale > 0)) {
    throw new ModelRejected(`the model's ${dtype} input has no quantisation scale; its card must say scaling: graph`);
  }
  const { scale, zeroPoint } = quantization;
  const [low, high] = dtype === 'uint8' ? [0, 255] : [-128, 127];
  const steps = scaled.map((value) => Math.min(Math.max(toEven(value / scale) + zeroPoint, low), high));
  return dtype === 'uint8' ? Uint8Array.from(steps) : Int8Array.from(steps);
}

/**
 * Write a model's input as its tensor holds it: each level by the table, the axes in the card's layout.
 *
 * @param pixels height*width*3 levels in the card's channel order.
 * @param table what `inputTable` gave.
 * @param out as many values.
 */
export function fillInput(pixels: Uint8Array, table: InputTable | null, how: Preprocessing, out: InputTable): void {
  const planes = how.layout === 'NCHW';
  const by = planes ? 1 : 3;
  for (let channel = 0; channel < 3; channel++) {
    const start = table !== null && table.length > 256 ? channel * 256 : 0;
    let to = planes ? channel * how.width * how.height : channel;
    for (let from = channel; from < pixels.length; from += 3, to += by) {
      out[to] = table === null ? pixels[from]! : table[start + pixels[from]!]!;
    }
  }
}

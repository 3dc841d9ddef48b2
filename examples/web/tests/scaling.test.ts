import { describe, expect, it } from 'vitest';

import { ModelRejected } from '../src/core/errors.ts';
import { parsePreprocessing } from '../src/core/preprocessing.ts';
import { fillInput, inputTable } from '../src/core/scaling.ts';
import { HOW } from './random.ts';
import { describeVectors } from './vectors.ts';

const HOST = { ...HOW, scaling: 'host' } as const;

describe('what a level becomes for a model', () => {
  it('is itself when the graph scales', () => {
    expect(inputTable('uint8', HOW)).toBeNull();
  });

  it.each(['int8', 'float32'] as const)('is refused when the graph scales and the input is %s', (dtype) => {
    const message = `the card says that scaling is in the graph, but the model's input is ${dtype}, not uint8`;
    expect(() => inputTable(dtype, HOW)).toThrow(new ModelRejected(message));
  });

  it('is p * scale + offset in single precision for float32', () => {
    const table = inputTable('float32', HOST)!;
    expect(table).toBeInstanceOf(Float32Array);
    expect([table[0], table[255], table[100]]).toEqual([-1, 1, Math.fround(100 / 127.5 - 1)]);
  });

  it('is rounded to the step of the quantisation, and kept within the type', () => {
    const signed = inputTable('int8', HOST, { scale: 1 / 127.5, zeroPoint: -1 })!;
    expect(signed).toBeInstanceOf(Int8Array);
    // -127.5 and 127.5 round to the even -128 and 128; the zero point moves them to -129, cut off, and 127.
    expect([signed[0], signed[255]]).toEqual([-128, 127]);
    const unsigned = inputTable('uint8', HOST, { scale: 0.001, zeroPoint: 128 })!;
    expect(unsigned).toBeInstanceOf(Uint8Array);
    expect([unsigned[0], unsigned[255]]).toEqual([0, 255]);
  });

  it('rounds a half to the even step, as NumPy does', () => {
    const table = inputTable('uint8', { ...HOST, scale: 0.5, offset: 0 }, { scale: 1, zeroPoint: 0 })!;
    expect([...table.slice(0, 8)]).toEqual([0, 0, 1, 2, 2, 2, 3, 4]);
  });

  it.each([undefined, { scale: 0, zeroPoint: 0 }, { scale: NaN, zeroPoint: 0 }])(
    'is refused for integers with the quantisation %s',
    (quantization) => {
      const message = "the model's int8 input has no quantisation scale; its card must say scaling: graph";
      expect(() => inputTable('int8', HOST, quantization)).toThrow(new ModelRejected(message));
    },
  );
});

describeVectors('tensors of the vectors', ({ tensors }) => {
  it.each(tensors)('$dtype $shape of $preprocessing.scale and $preprocessing.offset', (told) => {
    const how = parsePreprocessing(told.preprocessing);
    const table = inputTable(told.dtype, how, { scale: told.scale, zeroPoint: told.zero_point });
    const kinds = { float32: Float32Array, uint8: Uint8Array, int8: Int8Array };
    const out = new kinds[told.dtype](told.values.length);
    fillInput(Uint8Array.from(told.pixels), table, how, out);
    expect([...out]).toEqual(told.values);
  });

  it('are of every kind', () => {
    const kinds = tensors.map(({ dtype, preprocessing }) => `${dtype} ${String(preprocessing['layout'])}`);
    expect(new Set(kinds).size).toBe(4);
  });
});

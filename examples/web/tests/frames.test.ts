import { afterAll, describe, expect, it } from 'vitest';

import type { Preprocessing } from '../src/core/card.ts';
import { type CameraBuffer, FrameReader, MATRICES, upright } from '../src/core/frames.ts';
import { JavaScriptKernels } from '../src/core/kernels.ts';
import { SimdKernels } from '../src/core/kernels_simd.ts';
import { toInput } from '../src/core/resample.ts';
import { HOW, Random } from './random.ts';
import { type Buffer, describeVectors, Differences, readPixels, readVector } from './vectors.ts';

const BOTH = [new SimdKernels(), new JavaScriptKernels()];

describeVectors('camera buffers of the vectors', ({ buffers, preprocessings, matrices }) => {
  const all = new Differences();
  afterAll(() => console.log(`buffers' inputs against Python's: ${all}`));

  for (const given of buffers) {
    it(`${given.name} turns into Python's upright pixels`, () => {
      const { rgb, width, height } = upright(bufferOf(given));
      expect([width, height]).toEqual([given.upright_width, given.upright_height]);
      expect(new Differences().add(rgb, readPixels(given.upright, width, height)).unequal).toBe(0);
    });

    for (const [name, file] of Object.entries(given.inputs)) {
      it(`${given.name} becomes Python's input by ${name}`, () => {
        const how = preprocessings[name]!;
        const right = readPixels(file, how.width, how.height);
        for (const kernels of BOTH) {
          const input = new FrameReader(how, kernels).read(bufferOf(given));
          all.add(input, right);
          expect(new Differences().add(input, right).unequal).toBe(0);
        }
      });
    }
  }

  it('one reader reads every buffer in turn, whatever came before', () => {
    const reader = new FrameReader(preprocessings['card']!);
    const out = reader.read(bufferOf(buffers[0]!));
    for (const given of buffers) {
      const file = given.inputs['card']!;
      reader.read(bufferOf(given), out);
      expect(new Differences().add(out, readPixels(file, 224, 224)).unequal, given.name).toBe(0);
    }
  });

  it('the matrices are those of Python', () => {
    const ours = Object.entries(MATRICES).map(([name, { yZero, ...rest }]) => [name, { ...rest, y_zero: yZero }]);
    expect(Object.fromEntries(ours)).toEqual(matrices);
  });

  function bufferOf({ file, planes, layout, width, height, matrix, rotation, mirror }: Buffer): CameraBuffer {
    const named = planes.map(({ offset, row_stride: rowStride, pixel_stride: pixelStride }) => ({
      offset,
      rowStride,
      pixelStride,
    }));
    return { data: readVector(file), layout, width, height, planes: named, matrix, rotation, mirror };
  }
});

describe('a frame reader', () => {
  it('picks for nearest the pixels that upright and toInput give, whatever the geometry', () => {
    const random = new Random(6);
    for (let round = 0; round < 200; round++) {
      const buffer = random.buffer(90);
      const how = random.preprocessing('nearest');
      const { rgb, width, height } = upright(buffer);
      const gap = new Differences().add(new FrameReader(how).read(buffer), toInput(rgb, width, height, how));
      expect(gap.unequal, told(buffer, how)).toBe(0);
    }
  });

  it('resamples by every other filter what upright gives', () => {
    const random = new Random(7);
    for (let round = 0; round < 60; round++) {
      const buffer = random.buffer(90);
      const how = random.preprocessing(random.of(['box', 'bilinear', 'hamming', 'bicubic', 'lanczos']));
      const { rgb, width, height } = upright(buffer);
      const gap = new Differences().add(new FrameReader(how).read(buffer), toInput(rgb, width, height, how));
      expect(gap.unequal, told(buffer, how)).toBe(0);
    }
  });

  it('notices when the camera turns, changes its size or its strides', () => {
    const random = new Random(8);
    const how = { ...HOW, filter: 'bilinear', antialias: true } as const;
    const reader = new FrameReader(how);
    for (let round = 0; round < 40; round++) {
      const buffer = random.buffer(90);
      const gap = new Differences().add(reader.read(buffer), new FrameReader(how).read(buffer));
      expect(gap.unequal, told(buffer, how)).toBe(0);
    }
  });

  it('takes BGRA as RGBA with red and blue swapped', () => {
    const random = new Random(9);
    const rgba = { ...random.buffer(90), layout: 'RGBA_8888', matrix: null, ...packed(31, 17, 4) } as const;
    const data = random.bytes(31 * 17 * 4);
    const swapped = data.map((_, i) => data[i - (i % 4) + [2, 1, 0, 3][i % 4]!]!);
    const whole = upright({ ...rgba, data });
    expect(upright({ ...rgba, layout: 'BGRA_8888', data: swapped })).toEqual(whole);
  });

  it('turns clockwise, then mirrors', () => {
    const pixels = [1, 2, 3, 4, 5, 6]; // 1 2 3 over 4 5 6
    const data = Uint8Array.from(pixels.flatMap((level) => [level, level, level, 255]));
    const buffer = { data, layout: 'RGBA_8888', ...packed(3, 2, 4), matrix: null } as const;
    const seen = (rotation: CameraBuffer['rotation'], mirror: boolean): number[] =>
      [...upright({ ...buffer, rotation, mirror }).rgb].filter((_, i) => i % 3 === 0);
    expect(seen(0, false)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(seen(90, false)).toEqual([4, 1, 5, 2, 6, 3]);
    expect(seen(180, false)).toEqual([6, 5, 4, 3, 2, 1]);
    expect(seen(270, false)).toEqual([3, 6, 2, 5, 1, 4]);
    expect(seen(0, true)).toEqual([3, 2, 1, 6, 5, 4]);
    expect(seen(90, true)).toEqual([1, 4, 2, 5, 3, 6]);
  });

  it('gives black, white and grey their levels by every matrix', () => {
    for (const [name, [black, white]] of Object.entries({
      'bt601-full': [0, 255],
      'bt709-full': [0, 255],
      'bt601-limited': [16, 235],
      'bt709-limited': [16, 235],
    } as const)) {
      for (const [level, right] of [
        [black, 0],
        [white, 255],
      ] as const) {
        const data = Uint8Array.of(level, 128, 128);
        const planes = [0, 1, 2].map((offset) => ({ offset, rowStride: 1, pixelStride: 1 }));
        const matrix = name as keyof typeof MATRICES;
        const one = upright({
          data,
          layout: 'YUV_420_888',
          width: 1,
          height: 1,
          planes,
          matrix,
          rotation: 0,
          mirror: false,
        });
        expect([...one.rgb]).toEqual([right, right, right]);
      }
    }
  });

  it('keeps every colour that Y, U and V can say within 0..255, by the formula of each matrix', () => {
    const levels = [0, 1, 15, 16, 64, 127, 128, 129, 200, 235, 240, 254, 255];
    const all = levels.flatMap((y) => levels.flatMap((u) => levels.map((v) => [y, u, v] as const)));
    const data = Uint8Array.from([0, 1, 2].flatMap((plane) => all.map((yuv) => yuv[plane]!)));
    const level = (steps: number): number => Math.min(Math.max(Math.floor((steps + 32768) / 65536), 0), 255);
    for (const [name, { y: factor, yZero, rv, gu, gv, bu }] of Object.entries(MATRICES)) {
      const matrix = name as keyof typeof MATRICES;
      const right = all.flatMap(([y, u, v]) => {
        const [grey, cb, cr] = [factor * (y - yZero), u - 128, v - 128];
        return [level(grey + rv * cr), level(grey + gu * cb + gv * cr), level(grey + bu * cb)];
      });
      const got = all.flatMap((_, i) => {
        const planes = [0, 1, 2].map((plane) => ({ offset: plane * all.length + i, rowStride: 1, pixelStride: 1 }));
        const one = {
          data,
          layout: 'YUV_420_888',
          width: 1,
          height: 1,
          planes,
          matrix,
          rotation: 0,
          mirror: false,
        } as const;
        return [...upright(one).rgb];
      });
      expect(got, name).toEqual(right);
    }
  });

  const small: CameraBuffer = {
    data: new Uint8Array(6),
    layout: 'YUV_420_888',
    width: 2,
    height: 2,
    matrix: 'bt601-full',
    rotation: 0,
    mirror: false,
    planes: [
      { offset: 0, rowStride: 2, pixelStride: 1 },
      { offset: 4, rowStride: 1, pixelStride: 1 },
      { offset: 5, rowStride: 1, pixelStride: 1 },
    ],
  };

  it.each<[string, Partial<CameraBuffer>, string]>([
    [
      'fewer planes',
      { planes: small.planes.slice(1) },
      '2 planes of YUV_420_888; possible: {"RGBA_8888":1,"BGRA_8888":1,"YUV_420_888":3}',
    ],
    ['an unknown layout', { layout: 'I444' as never }, '3 planes of I444; possible'],
    [
      'no matrix',
      { matrix: null },
      "the buffer's matrix is null; possible: bt601-full, bt601-limited, bt709-full, bt709-limited",
    ],
    ['another angle', { rotation: 45 as never }, "the buffer's rotation is 45; possible: 0, 90, 180, 270"],
    ['a byte too few', { data: new Uint8Array(5) }, '2x2 with a row stride of 1 does not fit a buffer of 5 bytes'],
    ['no pixels', { width: 0 }, '0x2 with a row stride of 2 does not fit a buffer of 6 bytes'],
  ])('refuses %s', (_, change, message) => {
    expect(() => upright({ ...small, ...change })).toThrow(message);
    expect(() => new FrameReader(HOW).read({ ...small, ...change })).toThrow(message);
  });

  it('takes a last row that ends without its padding', () => {
    const data = Uint8Array.of(9, 9, 9, 255, 0, 0, 0, 0, 7, 7, 7, 255);
    const planes = [{ offset: 0, rowStride: 8, pixelStride: 4 }];
    const buffer = {
      data,
      layout: 'RGBA_8888',
      width: 1,
      height: 2,
      planes,
      matrix: null,
      rotation: 0,
      mirror: false,
    } as const;
    expect([...upright(buffer).rgb]).toEqual([9, 9, 9, 7, 7, 7]);
  });
});

function told(buffer: CameraBuffer, how: Preprocessing): string {
  return JSON.stringify({ ...buffer, data: buffer.data.length, how });
}

function packed(width: number, height: number, pixelStride: number): Pick<CameraBuffer, 'width' | 'height' | 'planes'> {
  return { width, height, planes: [{ offset: 0, rowStride: width * pixelStride, pixelStride }] };
}

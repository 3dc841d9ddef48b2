import { describe, expect, it } from 'vitest';

import { type CameraBuffer, MATRICES, upright } from '../src/core/frames.ts';
import { matrixOf, type MatrixName } from '../src/engine/yuv_matrix.ts';
import { Random } from './random.ts';

const NAMES = Object.keys(MATRICES) as MatrixName[];
const [WIDTH, HEIGHT] = [96, 64];

/** A picture of smooth patches, each of one luma and, where `coloured`, of one chroma; levels that every range holds. */
function planes(coloured: boolean, rotation: CameraBuffer['rotation'] = 0): CameraBuffer {
  const random = new Random(7);
  const data = new Uint8Array(WIDTH * HEIGHT * 1.5).fill(128);
  const half = WIDTH / 2;
  for (let top = 0; top < HEIGHT; top += 8) {
    for (let left = 0; left < WIDTH; left += 8) {
      const [y, u, v] = [60 + random.next() * 120, 90 + random.next() * 76, 90 + random.next() * 76];
      for (let row = 0; row < 8; row++) data.fill(y, (top + row) * WIDTH + left, (top + row) * WIDTH + left + 8);
      for (let row = 0; coloured && row < 4; row++) {
        const at = WIDTH * HEIGHT + (top / 2 + row) * half + left / 2;
        data.fill(u, at, at + 4);
        data.fill(v, at + (half * HEIGHT) / 2, at + (half * HEIGHT) / 2 + 4);
      }
    }
  }
  return {
    data,
    layout: 'YUV_420_888',
    width: WIDTH,
    height: HEIGHT,
    planes: [
      { offset: 0, rowStride: WIDTH, pixelStride: 1 },
      { offset: WIDTH * HEIGHT, rowStride: half, pixelStride: 1 },
      { offset: WIDTH * HEIGHT * 1.25, rowStride: half, pixelStride: 1 },
    ],
    matrix: null,
    rotation,
    mirror: false,
  };
}

/** What a browser would draw: the frame by one matrix, every level off by up to `noise`. */
function drawn(frame: CameraBuffer, matrix: MatrixName, noise = 1): CameraBuffer {
  const random = new Random(11);
  const { rgb, width, height } = upright({ ...frame, matrix });
  const data = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) data[i * 4 + c] = rgb[i * 3 + c]! + Math.round((2 * random.next() - 1) * noise);
  }
  const only = { offset: 0, rowStride: width * 4, pixelStride: 4 };
  const bytes = new Uint8Array(data.buffer);
  return { data: bytes, layout: 'RGBA_8888', width, height, planes: [only], matrix: null, rotation: 0, mirror: false };
}

describe('the matrix of a frame that does not say it', () => {
  it.each(NAMES)('%s is found by what the browser draws, however the frame lies', (matrix) => {
    for (const rotation of [0, 90, 180, 270] as const) {
      const frame = planes(true, rotation);
      expect(matrixOf(frame, drawn(frame, matrix), NAMES)).toEqual({ matrix, sure: true });
    }
  });

  it('is not sure in a grey room, and then takes the likelier of those that give the same', () => {
    const frame = planes(false);
    expect(matrixOf(frame, drawn(frame, 'bt709-limited', 0), NAMES)).toEqual({ matrix: 'bt601-limited', sure: false });
  });

  it('is none when no matrix gives what is drawn', () => {
    const frame = planes(true);
    const negative = drawn(frame, 'bt601-full');
    negative.data.forEach((level, i) => (negative.data[i] = 255 - level));
    expect(matrixOf(frame, negative, NAMES)).toEqual({ matrix: null, sure: true });
  });

  it('is the only candidate when that gives what is drawn', () => {
    const frame = planes(true);
    expect(matrixOf(frame, drawn(frame, 'bt709-full'), ['bt709-full'])).toEqual({ matrix: 'bt709-full', sure: true });
  });
});

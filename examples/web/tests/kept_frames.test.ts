import { expect, it, vi } from 'vitest';

import type { CameraBuffer } from '../src/core/frames.ts';
import { KeptFrames } from '../src/engine/kept_frames.ts';

vi.mock('../src/engine/canvas.ts', () => ({
  opaqueCanvas: () => ({ convertToBlob: () => Promise.resolve(new Blob()) }),
}));

const planes = [{ offset: 0, rowStride: 4, pixelStride: 4 }];

function frame(mean: number): { buffer: CameraBuffer; mean: number; std: number } {
  const data = new Uint8Array(4);
  const buffer: CameraBuffer = {
    data,
    layout: 'RGBA_8888',
    width: 1,
    height: 1,
    planes,
    matrix: null,
    rotation: 0,
    mirror: false,
  };
  return { buffer, mean, std: 1 };
}

it('gives the best of the last ten seconds, and nothing older when none was scored since', async () => {
  const kept = new KeptFrames(0);
  const recent = async (now: number): Promise<number | undefined> => (await kept.shot('recent', now))?.mean;
  expect(await recent(0)).toBeUndefined();
  kept.offer(frame(7), 0);
  kept.offer(frame(6), 4000);
  kept.offer(frame(5), 8000);
  expect(await recent(8000)).toBe(7);
  expect(await recent(10_000)).toBe(7);
  expect(await recent(10_001)).toBe(6);
  expect(await recent(18_000)).toBe(5);
  expect(await recent(18_001)).toBeUndefined();
  expect((await kept.shot('session', 18_001))?.mean).toBe(7);
});

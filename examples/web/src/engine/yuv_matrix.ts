/** Which YUV matrix a camera's frames have: the one that gives the colours which the browser itself makes of them. */

import { type CameraBuffer, FrameReader } from '../core/frames.ts';
import type { Preprocessing } from '../core/preprocessing.ts';

export type MatrixName = NonNullable<CameraBuffer['matrix']>;

/** `matrix` is null when none of them gives the same. Not `sure`: another gives almost the same, as in a grey room. */
export interface Verdict {
  readonly matrix: MatrixName | null;
  readonly sure: boolean;
}

/** Browsers interpolate chroma, so that edges differ; a wrong matrix is further off wherever there is colour. */
const FURTHEST = 4;
const APART = 0.5;

const SAMPLES: Preprocessing = {
  width: 64,
  height: 64,
  fit: 'stretch',
  filter: 'nearest',
  antialias: false,
  channel_order: 'RGB',
  scale: 1,
  offset: 0,
  scaling: 'graph',
  longest_edge: null,
  longest_edge_filter: 'lanczos',
  layout: 'NHWC',
};

/**
 * Compare a frame's own planes with what the browser makes of them, on 64x64 pixels.
 *
 * @param planes YUV; its own matrix is not looked at.
 * @param drawn the same frame in RGBA.
 * @param candidates what the matrix may be, the likeliest first.
 */
export function matrixOf(planes: CameraBuffer, drawn: CameraBuffer, candidates: readonly MatrixName[]): Verdict {
  const seen = new FrameReader(SAMPLES).read(drawn);
  const gaps = candidates
    .map((matrix) => ({ matrix, gap: meanGap(new FrameReader(SAMPLES).read({ ...planes, matrix }), seen) }))
    .sort((a, b) => a.gap - b.gap);
  const [first, second] = gaps;
  if (first === undefined || first.gap > FURTHEST) return { matrix: null, sure: true };
  return { matrix: first.matrix, sure: second === undefined || second.gap - first.gap >= APART };
}

function meanGap(a: Uint8Array, b: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += Math.abs(a[i]! - b[i]!);
  return sum / a.length;
}

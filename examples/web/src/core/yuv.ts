/** From YUV to RGB, in integers only. */

/** From Y, U, V to R, G, B, in steps of 1/65536 (ITU-R BT.601 and BT.709, by their Kr and Kb). */
export interface Matrix {
  readonly y: number;
  /** What black is: 16 in limited range, 0 in full range. */
  readonly yZero: number;
  readonly rv: number;
  readonly gu: number;
  readonly gv: number;
  readonly bu: number;
}

/** Android's cameras give bt601-full (JFIF); a browser's video frames name theirs. */
export const MATRICES = {
  'bt601-full': matrix(0.299, 0.114, true),
  'bt601-limited': matrix(0.299, 0.114, false),
  'bt709-full': matrix(0.2126, 0.0722, true),
  'bt709-limited': matrix(0.2126, 0.0722, false),
} as const;

const LOWEST = 384; // -290 and 546 are the furthest that the four matrices reach

/** Levels from -LOWEST on, brought into 0..255: a table, since a comparison that cannot be foreseen takes longer. */
export const LEVELS = Uint8Array.from({ length: 1024 }, (_, i) => Math.min(Math.max(i - LOWEST, 0), 255));

/** What is added to a sum of 65536ths: a half, and so much that its whole part is an index of `LEVELS`. */
export const ROUNDED = 32768 + (LOWEST << 16);

function matrix(kr: number, kb: number, full: boolean): Matrix {
  const kg = 1 - kr - kb;
  const [luma, chroma] = full ? [1, 1] : [255 / 219, 255 / 224];
  const [rv, bu] = [2 * (1 - kr) * chroma, 2 * (1 - kb) * chroma];
  const steps = (factor: number): number => Math.round(65536 * factor);
  return {
    y: steps(luma),
    yZero: full ? 0 : 16,
    rv: steps(rv),
    gu: steps((-bu * kb) / kg),
    gv: steps((-rv * kr) / kg),
    bu: steps(bu),
  };
}

/** Pixels out of what a browser draws, one to one: never scaled, a strip at a time, alpha over white. */

/** What can be drawn, and how large it is. */
export interface Drawable {
  readonly source: ImageBitmap | VideoFrame;
  readonly width: number;
  readonly height: number;
}

/** A strip holds at most this many pixels: iOS allows a canvas 16.7 million, and memory is short on phones. */
const STRIP = 4 << 20;

let canvas: OffscreenCanvas | null = null;

/**
 * Read rows of a drawable, each whole.
 *
 * @param rows indices of the rows wanted.
 * @param take called with RGBA of one row at a time, its bytes valid during the call, and its place in `rows`.
 */
export function readRows(
  from: Drawable,
  rows: ArrayLike<number>,
  take: (rgba: Uint8ClampedArray, place: number) => void,
): void {
  const { width } = from;
  const fit = Math.max(1, Math.min(rows.length, Math.floor(STRIP / width)));
  const context = cleared(width, fit);
  for (let first = 0; first < rows.length; first += fit) {
    const count = Math.min(fit, rows.length - first);
    if (first > 0) context.clearRect(0, 0, width, fit);
    for (let i = 0, run; i < count; i += run) {
      run = 1;
      while (i + run < count && rows[first + i + run] === rows[first + i]! + run) run++;
      context.drawImage(from.source, 0, rows[first + i]!, width, run, 0, i, width, run);
    }
    const { data } = context.getImageData(0, 0, width, count, { colorSpace: 'srgb' });
    for (let i = 0; i < count; i++) take(data.subarray(i * width * 4, (i + 1) * width * 4), first + i);
  }
}

/** Whether two opaque drawables hold the same pixels. */
export function samePixels(one: Drawable, other: Drawable): boolean {
  const { width, height } = one;
  if (other.width !== width || other.height !== height) return false;
  const fit = Math.min(height, Math.max(1, Math.floor(STRIP / width)));
  const context = cleared(width, fit);
  for (let top = 0; top < height; top += fit) {
    const rows = Math.min(fit, height - top);
    context.drawImage(one.source, 0, top, width, rows, 0, 0, width, rows);
    context.globalCompositeOperation = 'difference';
    context.drawImage(other.source, 0, top, width, rows, 0, 0, width, rows);
    context.globalCompositeOperation = 'source-over';
    const { data } = context.getImageData(0, 0, width, rows, { colorSpace: 'srgb' });
    const pixels = new Uint32Array(data.buffer);
    for (let i = 0; i < pixels.length; i++) if (pixels[i] !== 0xff000000) return false; // opaque black
  }
  return true;
}

/**
 * A pixel's level over white. Pillow's alpha_composite over opaque white gives this very number for every level and
 * alpha, and a canvas that keeps levels multiplied by alpha loses nothing of it: both were tried for all 65 536 pairs.
 */
export function overWhite(level: number, alpha: number): number {
  return alpha === 255 ? level : Math.floor((2 * (level * alpha + 255 * (255 - alpha)) + 255) / 510);
}

/** Put a row of RGBA over white, in place; its alpha stays. */
export function flatten(rgba: Uint8ClampedArray): void {
  for (let at = 0; at < rgba.length; at += 4) {
    const alpha = rgba[at + 3]!;
    if (alpha === 255) continue;
    rgba[at] = overWhite(rgba[at]!, alpha);
    rgba[at + 1] = overWhite(rgba[at + 1]!, alpha);
    rgba[at + 2] = overWhite(rgba[at + 2]!, alpha);
  }
}

function cleared(width: number, height: number): OffscreenCanvasRenderingContext2D {
  if (canvas === null || canvas.width !== width || canvas.height !== height)
    canvas = new OffscreenCanvas(width, height);
  // Read often: the pixels stay in memory and do not pass through a GPU, which may round them otherwise.
  const context = canvas.getContext('2d', { willReadFrequently: true, colorSpace: 'srgb' });
  if (context === null) throw new Error(`this browser has no canvas of ${width}x${height}`);
  context.clearRect(0, 0, width, height);
  context.imageSmoothingEnabled = false;
  return context;
}

/** A canvas of its own with an opaque picture, to be encoded. `rgb` has height*width*3 bytes. */
export function opaqueCanvas(rgb: Uint8Array, width: number, height: number): OffscreenCanvas {
  const rgba = new ImageData(width, height);
  for (let from = 0, to = 0; from < rgb.length; from += 3, to += 4) {
    rgba.data[to] = rgb[from]!;
    rgba.data[to + 1] = rgb[from + 1]!;
    rgba.data[to + 2] = rgb[from + 2]!;
    rgba.data[to + 3] = 255;
  }
  const own = new OffscreenCanvas(width, height);
  own.getContext('2d')!.putImageData(rgba, 0, 0);
  return own;
}

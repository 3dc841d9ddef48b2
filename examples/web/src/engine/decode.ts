/** Photographs: a file's bytes to upright RGB, by the browser's decoders, no pixel scaled, no profile applied. */

import type { Preprocessing } from '../core/card.ts';
import { PictureRejected } from '../core/errors.ts';
import { orient, takeOrientation } from '../core/orientation.ts';
import { picksOnly, toInput } from '../core/resample.ts';
import { type Drawable, flatten, readRows } from './canvas.ts';
import { gather, weighRows } from './gather.ts';
import { HEIC, type PictureFile, readHeader } from './picture_file.ts';

/** From this size on, pixels that are taken as they are are picked without the whole picture in memory. */
const LARGE_MEGAPIXELS = 16;

/** A decoded photograph. Close it. */
export class Photograph {
  readonly #bitmap: ImageBitmap;
  readonly #orientation: number;

  private constructor(bitmap: ImageBitmap, orientation: number) {
    this.#bitmap = bitmap;
    this.#orientation = orientation;
  }

  /**
   * Decode a picture file: the first frame of an animation.
   *
   * @param bytes the whole file; its EXIF orientation is overwritten with 1 when it is another.
   * @throws PictureRejected with the reason, in one line.
   */
  static async open(bytes: Uint8Array<ArrayBuffer>): Promise<Photograph> {
    const header = readHeader(bytes);
    // Some browsers always turn a picture by its EXIF, some when asked: with none left to apply all are alike.
    const orientation = takeOrientation(bytes);
    const blob = new Blob([bytes], { type: `image/${header.format}` });
    try {
      const bitmap = await createImageBitmap(blob, { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
      if (bitmap.width !== header.width || bitmap.height !== header.height) {
        const got = `${bitmap.width}x${bitmap.height}`;
        bitmap.close();
        // HEIC and AVIF keep their turning apart, and the browser has applied it; the others have no such excuse.
        throw new PictureRejected(
          `this browser decodes it to ${got}, its header says ${header.width}x${header.height}`,
        );
      }
      return new Photograph(bitmap, orientation);
    } catch (error) {
      throw error instanceof PictureRejected ? error : new PictureRejected(undecoded(header, error));
    }
  }

  /** Upright, alpha over white; `rgb` has height*width*3 bytes, red first. */
  upright(): { rgb: Uint8Array; width: number; height: number } {
    const { width, height } = this.#bitmap;
    const rgb = new Uint8Array(width * height * 3);
    const every = Int32Array.from({ length: height }, (_, row) => row);
    readRows(this.#drawable(), every, (rgba, row) => {
      flatten(rgba);
      for (let from = 0, to = row * width * 3; from < rgba.length; from += 4, to += 3) {
        rgb[to] = rgba[from]!;
        rgb[to + 1] = rgba[from + 1]!;
        rgb[to + 2] = rgba[from + 2]!;
      }
    });
    const turned = orient(rgb, width, height, 3, this.#orientation);
    return { rgb: turned.pixels, width: turned.width, height: turned.height };
  }

  /** The model's input: how.height*how.width*3 bytes. */
  input(how: Preprocessing): Uint8Array {
    const { width: wide, height: high } = this.#bitmap;
    const picks = this.#orientation > 4 ? picksOnly(high, wide, how) : picksOnly(wide, high, how);
    if (!picks) return weighRows(this.#drawable(), this.#orientation, how);
    if ((wide * high) / 1e6 > LARGE_MEGAPIXELS) return gather(this.#drawable(), this.#orientation, how);
    const { rgb, width, height } = this.upright();
    return toInput(rgb, width, height, how);
  }

  /** A small JPEG of it, upright, its longer side at most `side` pixels. For the eye only. */
  async thumbnail(side: number): Promise<Blob> {
    const { width, height } = this.#bitmap;
    const scale = Math.min(1, side / Math.max(width, height));
    const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
    const turned = this.#orientation > 4;
    const canvas = new OffscreenCanvas(turned ? h : w, turned ? w : h);
    const context = canvas.getContext('2d')!;
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    context.setTransform(...TURNS[this.#orientation - 1]!(w, h));
    context.imageSmoothingQuality = 'high';
    context.drawImage(this.#bitmap, 0, 0, w, h);
    return canvas.convertToBlob({ type: 'image/jpeg', quality: 0.82 });
  }

  close(): void {
    this.#bitmap.close();
  }

  #drawable(): Drawable {
    return { source: this.#bitmap, width: this.#bitmap.width, height: this.#bitmap.height };
  }
}

type Matrix = [number, number, number, number, number, number];

/** For each EXIF orientation 1..8 the canvas transform that turns a picture of w x h upright. */
const TURNS: readonly ((w: number, h: number) => Matrix)[] = [
  () => [1, 0, 0, 1, 0, 0],
  (w) => [-1, 0, 0, 1, w, 0],
  (w, h) => [-1, 0, 0, -1, w, h],
  (_, h) => [1, 0, 0, -1, 0, h],
  () => [0, 1, 1, 0, 0, 0],
  (_, h) => [0, 1, -1, 0, h, 0],
  (w, h) => [0, -1, -1, 0, h, w],
  (w) => [0, -1, 1, 0, 0, w],
];

function undecoded(header: PictureFile, error: unknown): string {
  if (header.format === 'heic') return HEIC;
  if (header.format === 'avif') return 'AVIF is not decoded by this browser, or the file is damaged: export as JPEG';
  const megapixels = (header.width * header.height) / 1e6;
  const told = error instanceof Error ? error.message : String(error);
  if (megapixels > LARGE_MEGAPIXELS) {
    const size = `${header.width}x${header.height}, ${megapixels.toFixed(0)} megapixels`;
    return `this browser cannot decode ${size} (${told}): make it smaller, or score it with edge-nima score`;
  }
  return `damaged: the browser cannot decode it (${told})`;
}

/** Photographs: a file's bytes to upright RGB, by the browser's decoders, no pixel scaled, no profile applied. */

import type { Preprocessing } from '../core/card.ts';
import { PictureRejected, reason } from '../core/errors.ts';
import { orient, takeOrientation, turnOf } from '../core/orientation.ts';
import { picksOnly, toInput } from '../core/resample.ts';
import { type Drawable, flatten, readRows } from './canvas.ts';
import { gather, weighRows } from './gather.ts';
import { END_OF_IMAGE, isWhole, readScans } from './jpeg.ts';
import { ENDS_EARLY, HEIC, type PictureFile, readHeader } from './picture_file.ts';

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
    // Of a sequence Chromium takes the range of levels wrongly; as a still picture it is read right.
    if (header.format === 'avif') bytes.set([0x61, 0x76, 0x69, 0x66], 8);
    const options = { colorSpaceConversion: 'none', premultiplyAlpha: 'none' } as const;
    const decode = (...parts: Uint8Array<ArrayBuffer>[]): Promise<ImageBitmap> =>
      createImageBitmap(new Blob(parts, { type: `image/${header.format}` }), options).catch((error: unknown) => {
        throw new PictureRejected(undecoded(header, error));
      });
    const scans = header.format === 'jpeg' ? readScans(bytes) : null;
    // A JPEG that lacks only its end marker is whole.
    const bitmap = await decode(bytes, scans?.ended === false ? END_OF_IMAGE : header.tail);
    const photograph = new Photograph(bitmap, orientation);
    try {
      checkSize(header, bitmap);
      if (scans !== null && !(await isWhole(bytes, scans, photograph.#drawable(), decode))) {
        throw new PictureRejected(ENDS_EARLY);
      }
    } catch (error) {
      photograph.close();
      throw error;
    }
    return photograph;
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
    return orient(rgb, width, height, this.#orientation);
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
    const { swaps, right, bottom } = turnOf(this.#orientation);
    const [stepX, stepY, atX, atY] = [right ? -1 : 1, bottom ? -1 : 1, right ? w : 0, bottom ? h : 0];
    const canvas = new OffscreenCanvas(swaps ? h : w, swaps ? w : h);
    const context = canvas.getContext('2d')!;
    context.fillStyle = '#fff';
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (swaps) context.setTransform(0, stepX, stepY, 0, atY, atX);
    else context.setTransform(stepX, 0, 0, stepY, atX, atY);
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

/** HEIC and AVIF are turned by boxes of their own, which browsers follow; no other format may have its sides swapped. */
function checkSize({ format, width, height }: PictureFile, bitmap: ImageBitmap): void {
  const got = `${bitmap.width}x${bitmap.height}`;
  const possible = [`${width}x${height}`, ...(format === 'avif' || format === 'heic' ? [`${height}x${width}`] : [])];
  if (possible.includes(got)) return;
  throw new PictureRejected(`this browser decodes it to ${got}, its header says ${width}x${height}`);
}

function undecoded(header: PictureFile, error: unknown): string {
  if (header.format === 'heic') return HEIC;
  if (header.format === 'avif') return 'AVIF is not decoded by this browser, or the file is damaged: export as JPEG';
  const megapixels = (header.width * header.height) / 1e6;
  const told = reason(error);
  if (megapixels > LARGE_MEGAPIXELS) {
    const size = `${header.width}x${header.height}, ${megapixels.toFixed(0)} megapixels`;
    return `this browser cannot decode ${size} (${told}): make it smaller, or score it with edge-nima score`;
  }
  return `damaged: the browser cannot decode it (${told})`;
}

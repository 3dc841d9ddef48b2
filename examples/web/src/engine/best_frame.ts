/** The best frame since the camera started, kept as it came; made a JPEG only when somebody wants to see it. */

import { Best } from '../core/best.ts';
import { type CameraBuffer, upright } from '../core/frames.ts';
import { opaqueCanvas } from './canvas.ts';
import type { BestShot } from './protocol.ts';

interface Kept {
  readonly buffer: CameraBuffer;
  readonly std: number;
  readonly distribution: readonly number[];
}

/** Holds one frame. */
export class BestFrame {
  readonly #best: Best<Kept>;
  readonly #above: number;

  /** @param above only frames with a higher mean are kept. */
  constructor(above: number) {
    this.#above = above;
    this.#best = new Best<Kept>();
  }

  /** Whether this frame is the best so far: only then its bytes are copied. Encoding waits until asked for. */
  offer(buffer: CameraBuffer, mean: number, std: number, distribution: readonly number[]): boolean {
    if (mean <= Math.max(this.#above, this.#best.mean)) return false;
    return this.#best.offer(mean, { buffer: { ...buffer, data: buffer.data.slice() }, std, distribution });
  }

  /** The best frame as a JPEG of high quality at its full size; null when there is none. */
  async shot(): Promise<BestShot | null> {
    const kept = this.#best.item;
    if (kept === null) return null;
    const mean = this.#best.mean;
    const { rgb, width, height } = upright(kept.buffer);
    const jpeg = await opaqueCanvas(rgb, width, height).convertToBlob({ type: 'image/jpeg', quality: 0.95 });
    return { jpeg, mean, std: kept.std, distribution: kept.distribution, width, height };
  }
}

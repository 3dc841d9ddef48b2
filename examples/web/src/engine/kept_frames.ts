/** Camera frames kept as they came: the session's best, the best of the last seconds, a burst's, and the last one. */

import { type CameraBuffer, upright } from '../core/frames.ts';
import { opaqueCanvas } from './canvas.ts';
import type { Shot, Which } from './protocol.ts';

/** Milliseconds: how far back "recent" goes, and the slices of time of which one frame each is kept. */
const RECENT = 10_000;
const SLICE = 500;

interface Scored {
  readonly buffer: CameraBuffer;
  readonly mean: number;
  readonly std: number;
}

interface Slice extends Scored {
  readonly time: number;
}

/** A frame's bytes are copied only when it is kept; it becomes a JPEG only when it is asked for. */
export class KeptFrames {
  readonly #above: number;
  #last: Scored | null = null;
  #session: Scored | null = null;
  #burst: Scored | null = null;
  #bursting = false;
  /** Falling means, oldest first: a frame that a later one surpasses is never the best of what is left. */
  readonly #recent: Slice[] = [];

  /** @param above only a frame with a higher mean is the session's best. */
  constructor(above: number) {
    this.#above = above;
  }

  /**
   * A frame was scored. `frame.buffer` need be valid only until the next frame is read.
   *
   * @param time when it was read, milliseconds.
   * @returns whether it is the session's best so far.
   */
  offer(frame: Scored, time: number): boolean {
    this.#last = frame;
    const { mean } = frame;
    const recent = this.#recent;
    this.#expire(time);
    while (recent.length > 0 && recent.at(-1)!.mean <= mean) recent.pop();
    const newest = recent.at(-1);
    const best = mean > Math.max(this.#above, this.#session?.mean ?? 0);
    const ofBurst = this.#bursting && mean > (this.#burst?.mean ?? 0);
    const ofSlice = newest === undefined || Math.floor(newest.time / SLICE) !== Math.floor(time / SLICE);
    if (!best && !ofBurst && !ofSlice) return false;
    const kept = { ...frame, buffer: { ...frame.buffer, data: frame.buffer.data.slice() } };
    if (best) this.#session = kept;
    if (ofBurst) this.#burst = kept;
    if (ofSlice) recent.push({ ...kept, time });
    return best;
  }

  /** From here on the frames are a burst, until its shot is taken. */
  beginBurst(): void {
    this.#bursting = true;
    this.#burst = null;
  }

  /**
   * A kept frame as a JPEG of high quality at its full size; null when there is none.
   *
   * @param time now, milliseconds: no "recent" frame is older than ten seconds, also when none was scored since.
   */
  async shot(which: Which, time: number): Promise<Shot | null> {
    this.#expire(time);
    const kept = { last: this.#last, session: this.#session, recent: this.#recent[0] ?? null, burst: this.#burst }[which];
    if (which === 'burst') this.#bursting = false;
    if (kept === null) return null;
    const { rgb, width, height } = upright(kept.buffer);
    const jpeg = await opaqueCanvas(rgb, width, height).convertToBlob({ type: 'image/jpeg', quality: 0.95 });
    return { jpeg, mean: kept.mean, std: kept.std, width, height };
  }

  #expire(time: number): void {
    const recent = this.#recent;
    while (recent[0] !== undefined && time - recent[0].time > RECENT) recent.shift();
  }
}

/** A proof that others can check: scored frames as lossless PNG files, their records beside them, in one zip. */

import { encode } from 'fast-png';
import { type Zippable, zipSync } from 'fflate';

import { type CameraBuffer, upright } from '../core/frames.ts';
import { type FileStamp, type ScoreRecord, toJsonLines } from '../core/records.ts';

/** Collects a given number of frames. */
export class Proof {
  readonly of: number;
  readonly #files: Zippable = {};
  readonly #records: [ScoreRecord, FileStamp][] = [];

  constructor(frames: number) {
    this.of = frames;
  }

  get taken(): number {
    return this.#records.length;
  }

  /** The next frame's name; null when there are enough. */
  get next(): string | null {
    return this.taken < this.of ? `frame-${String(this.taken + 1).padStart(2, '0')}.png` : null;
  }

  /** Keep a frame: the PNG holds exactly the upright pixels that were scored. `record.name` is `next`. */
  keep(buffer: CameraBuffer, record: ScoreRecord): void {
    const { rgb, width, height } = upright(buffer);
    const png = encode({ width, height, data: rgb, channels: 3, depth: 8 }, { zlib: { level: 3 } });
    // Stored, not compressed again: a PNG is compressed already.
    this.#files[record.name] = [png, { level: 0 }];
    this.#records.push([record, { size: png.length, mtime_ns: null }]);
  }

  /** Everything kept, as a zip with the PNG files and records.jsonl. */
  file(): Blob {
    const lines = new TextEncoder().encode(toJsonLines(this.#records));
    return new Blob([zipSync({ ...this.#files, 'records.jsonl': lines })], { type: 'application/zip' });
  }
}

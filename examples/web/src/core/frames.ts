/** Camera buffers as phones and browsers hand them over, as `edge_nima/camera_buffers.py`: integers only. */

import { PictureRejected } from './errors.ts';
import type { Preprocessing } from './preprocessing.ts';
import { type Resample, resampler } from './resample.ts';
import { centres, usedBox } from './sampling.ts';

/** Where a plane's samples lie, in bytes. */
export interface Plane {
  readonly offset: number;
  readonly rowStride: number;
  readonly pixelStride: number;
}

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

const PLANES = { RGBA_8888: 1, BGRA_8888: 1, YUV_420_888: 3 } as const;

/** One frame as it lies in memory. */
export interface CameraBuffer {
  readonly data: Uint8Array;
  readonly layout: keyof typeof PLANES;
  /** Pixels, before it is turned. */
  readonly width: number;
  readonly height: number;
  /** One of RGBA or BGRA (alpha is ignored), or Y, U, V in this order; U and V have half the sides, rounded up. */
  readonly planes: readonly Plane[];
  /** null for RGBA and BGRA. */
  readonly matrix: keyof typeof MATRICES | null;
  /** Degrees clockwise that make it upright. */
  readonly rotation: 0 | 90 | 180 | 270;
  /** Whether left and right are swapped after that. */
  readonly mirror: boolean;
}

/** For each plane where the wanted rows and columns of the upright picture lie: a sample is at their sum. */
type Places = readonly { readonly rows: Int32Array; readonly columns: Int32Array }[];

/**
 * The whole picture.
 *
 * @param out where to write, width*height*3 bytes; made when left out.
 * @returns `rgb`, red first, and its size after turning.
 * @throws PictureRejected there is no such layout or matrix, or the planes reach beyond the data.
 */
export function upright(buffer: CameraBuffer, out?: Uint8Array): { rgb: Uint8Array; width: number; height: number } {
  const [width, height] = uprightSize(buffer);
  check(buffer);
  const rgb = out ?? new Uint8Array(width * height * 3);
  gather(buffer, places(buffer, every(height), every(width)), rgb, 0);
  return { rgb, width, height };
}

/** Camera buffers to the input of one model. What does not change from frame to frame is kept. */
export class FrameReader {
  readonly #how: Preprocessing;
  #last: CameraBuffer | null = null;
  #places: Places = [];
  #resample: Resample | null = null;
  #rgb = new Uint8Array(0);

  /** @param how the card's specification. */
  constructor(how: Preprocessing) {
    this.#how = how;
  }

  /**
   * The model's input, as `upright` and `toInput` make it; for nearest only the pixels that it takes are converted.
   *
   * @param out where to write, how.height*how.width*3 bytes; made when left out.
   * @returns `out`.
   * @throws PictureRejected as `upright`.
   */
  read(buffer: CameraBuffer, out: Uint8Array = new Uint8Array(this.#how.height * this.#how.width * 3)): Uint8Array {
    check(buffer);
    if (this.#last === null || !alike(this.#last, buffer)) this.#prepare(buffer);
    if (this.#resample === null) {
      gather(buffer, this.#places, out, this.#how.channel_order === 'RGB' ? 0 : 2);
    } else {
      gather(buffer, this.#places, this.#rgb, 0);
      this.#resample(this.#rgb, out);
    }
    return out;
  }

  #prepare(buffer: CameraBuffer): void {
    const how = this.#how;
    const [width, height] = uprightSize(buffer);
    if (how.filter === 'nearest') {
      const box = usedBox(width, height, how);
      const rows = centres(box.top, box.bottom, how.height);
      this.#places = places(buffer, rows, centres(box.left, box.right, how.width));
    } else {
      this.#places = places(buffer, every(height), every(width));
      this.#resample = resampler(width, height, how, 3);
      if (this.#rgb.length !== width * height * 3) this.#rgb = new Uint8Array(width * height * 3);
    }
    this.#last = { ...buffer, data: new Uint8Array(0) }; // its geometry alone: the pixels are the camera's
  }
}

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

function check({ data, layout, width, height, planes, matrix: name, rotation }: CameraBuffer): void {
  if (!Object.hasOwn(PLANES, layout) || planes.length !== PLANES[layout]) {
    throw new PictureRejected(`${planes.length} planes of ${layout}; possible: ${JSON.stringify(PLANES)}`);
  }
  if (![0, 90, 180, 270].includes(rotation)) {
    throw new PictureRejected(`the buffer's rotation is ${rotation}; possible: 0, 90, 180, 270`);
  }
  if (layout === 'YUV_420_888' && (name === null || !Object.hasOwn(MATRICES, name))) {
    throw new PictureRejected(`the buffer's matrix is ${name}; possible: ${Object.keys(MATRICES).join(', ')}`);
  }
  for (const [i, { offset, rowStride, pixelStride }] of planes.entries()) {
    const shift = i > 0 ? 1 : 0;
    const right = ((width - 1) >> shift) * pixelStride;
    const below = ((height - 1) >> shift) * rowStride;
    const colours = layout === 'YUV_420_888' ? 0 : 2;
    const first = offset + Math.min(0, right) + Math.min(0, below);
    const last = offset + Math.max(0, right) + Math.max(0, below) + colours;
    if (!(width >= 1 && height >= 1 && first >= 0 && last < data.length)) {
      throw new PictureRejected(
        `${width}x${height} with a row stride of ${rowStride} does not fit a buffer of ${data.length} bytes`,
      );
    }
  }
}

function alike(a: CameraBuffer, b: CameraBuffer): boolean {
  return (
    a.layout === b.layout &&
    a.width === b.width &&
    a.height === b.height &&
    a.rotation === b.rotation &&
    a.mirror === b.mirror &&
    a.planes.every((plane, i) => {
      const other = b.planes[i];
      return (
        plane.offset === other?.offset && plane.rowStride === other.rowStride && plane.pixelStride === other.pixelStride
      );
    })
  );
}

function uprightSize({ width, height, rotation }: CameraBuffer): [number, number] {
  return rotation % 180 === 0 ? [width, height] : [height, width];
}

function every(count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => i);
}

/** A row of the upright picture is a row of the buffer, or one of its columns; so each axis has its own table. */
function places(buffer: CameraBuffer, rows: Int32Array, columns: Int32Array): Places {
  const { rotation, mirror } = buffer;
  const [width, height] = uprightSize(buffer);
  const turned = rotation % 180 !== 0;
  const backwards = (mirror ? 1 : 0) ^ (rotation === 90 || rotation === 180 ? 1 : 0);
  const across = columns.map((x) => (backwards ? width - 1 - x : x));
  const down = rows.map((y) => (rotation === 180 || rotation === 270 ? height - 1 - y : y));
  // Turned by 90 degrees a step to the right goes up the buffer, and one down goes along its row.
  const [alongX, alongY] = turned ? [down, across] : [across, down];
  return buffer.planes.map(({ offset, rowStride, pixelStride }, i) => {
    const shift = i > 0 ? 1 : 0;
    const x = alongX.map((at) => (at >> shift) * pixelStride);
    const y = alongY.map((at) => offset + (at >> shift) * rowStride);
    return turned ? { rows: x, columns: y } : { rows: y, columns: x };
  });
}

/** @param red where red is written in each pixel of `out`, 0 or 2. */
function gather(buffer: CameraBuffer, from: Places, out: Uint8Array, red: 0 | 2): void {
  if (buffer.layout === 'YUV_420_888' && buffer.matrix !== null) {
    gatherYuv(buffer.data, MATRICES[buffer.matrix], from, out, red);
  } else {
    gatherRgba(buffer.data, buffer.layout === 'RGBA_8888' ? 0 : 2, from, out, red);
  }
}

function gatherRgba(data: Uint8Array, first: 0 | 2, [plane]: Places, out: Uint8Array, red: 0 | 2): void {
  const { rows, columns } = plane!;
  let to = 0;
  for (let y = 0; y < rows.length; y++) {
    const row = rows[y]!;
    for (let x = 0; x < columns.length; x++) {
      const at = row + columns[x]!;
      out[to + red] = data[at + first]!;
      out[to + 1] = data[at + 1]!;
      out[to + 2 - red] = data[at + 2 - first]!;
      to += 3;
    }
  }
}

function gatherYuv(data: Uint8Array, m: Matrix, [luma, first, second]: Places, out: Uint8Array, red: 0 | 2): void {
  const { y: yFactor, yZero, rv, gu, gv, bu } = m;
  const [yColumns, uColumns, vColumns] = [luma!.columns, first!.columns, second!.columns];
  let to = 0;
  for (let y = 0; y < luma!.rows.length; y++) {
    const yRow = luma!.rows[y]!;
    const uRow = first!.rows[y]!;
    const vRow = second!.rows[y]!;
    for (let x = 0; x < yColumns.length; x++) {
      const level = (Math.imul(yFactor, data[yRow + yColumns[x]!]! - yZero) + ROUNDED) | 0;
      const u = data[uRow + uColumns[x]!]! - 128;
      const v = data[vRow + vColumns[x]!]! - 128;
      out[to + red] = CLAMPED[(level + Math.imul(rv, v)) >> 16]!;
      out[to + 1] = CLAMPED[(level + Math.imul(gu, u) + Math.imul(gv, v)) >> 16]!;
      out[to + 2 - red] = CLAMPED[(level + Math.imul(bu, u)) >> 16]!;
      to += 3;
    }
  }
}

/** Levels from -LOWEST on, brought into 0..255: a table, since a comparison that cannot be foreseen takes longer. */
const LOWEST = 384; // -290 and 546 are the furthest that the four matrices reach
const CLAMPED = Uint8Array.from({ length: 1024 }, (_, i) => Math.min(Math.max(i - LOWEST, 0), 255));
const ROUNDED = 32768 + (LOWEST << 16);

/** Camera buffers as phones and browsers hand them over, as `edge_nima/camera_buffers.py`: integers only. */

import { PictureRejected } from './errors.ts';
import type { Kernels, YuvRow } from './kernels.ts';
import type { Preprocessing } from './preprocessing.ts';
import { picksOnly, Resampling } from './resample.ts';
import { centres, type Turn, usedBox } from './sampling.ts';
import { LEVELS, MATRICES, type Matrix, ROUNDED } from './yuv.ts';

export { MATRICES } from './yuv.ts';

/** Where a plane's samples lie, in bytes. */
export interface Plane {
  readonly offset: number;
  readonly rowStride: number;
  readonly pixelStride: number;
}

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
 * @returns `rgb`, red first, and its size after turning.
 * @throws PictureRejected there is no such layout or matrix, or the planes reach beyond the data.
 */
export function upright(buffer: CameraBuffer): { rgb: Uint8Array; width: number; height: number } {
  const [width, height] = uprightSize(buffer);
  check(buffer);
  const rgb = new Uint8Array(width * height * 3);
  gather(buffer, places(buffer, every(height), every(width)), rgb, 0);
  return { rgb, width, height };
}

/** Camera buffers to the input of one model. What does not change from frame to frame is kept. */
export class FrameReader {
  readonly #how: Preprocessing;
  readonly #kernels: Kernels | undefined;
  #last: CameraBuffer | null = null;
  #places: Places = [];
  #resampling: Resampling | null = null;

  /**
   * @param how the card's specification.
   * @param kernels for tests; the fastest when left out.
   */
  constructor(how: Preprocessing, kernels?: Kernels) {
    this.#how = how;
    this.#kernels = kernels;
  }

  /**
   * The model's input, as `upright` and `toInput` make it; where it is made of pixels as they are, only those are
   * converted.
   *
   * @param out where to write, how.height*how.width*3 bytes; made when left out.
   * @returns `out`.
   * @throws PictureRejected as `upright`.
   */
  read(buffer: CameraBuffer, out: Uint8Array = new Uint8Array(this.#how.height * this.#how.width * 3)): Uint8Array {
    check(buffer);
    if (this.#last === null || !alike(this.#last, buffer)) this.#prepare(buffer);
    if (this.#resampling === null) {
      gather(buffer, this.#places, out, this.#how.channel_order === 'RGB' ? 0 : 2);
    } else {
      resample(buffer, this.#resampling, out);
    }
    return out;
  }

  #prepare(buffer: CameraBuffer): void {
    const how = this.#how;
    const [width, height] = uprightSize(buffer);
    if (picksOnly(width, height, how)) {
      const box = usedBox(width, height, how);
      const rows = centres(box.top, box.bottom, how.height);
      this.#places = places(buffer, rows, centres(box.left, box.right, how.width));
      this.#resampling = null;
    } else {
      this.#resampling = new Resampling(width, height, how, turnOf(buffer), this.#kernels);
    }
    this.#last = { ...buffer, data: new Uint8Array(0) }; // its geometry alone: the pixels are the camera's
  }
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

function turnOf({ rotation, mirror }: CameraBuffer): Turn {
  const swaps = rotation % 180 !== 0;
  const [right, bottom] = [rotation === 180 || rotation === 270, rotation === 90 || rotation === 180];
  return { right: right !== (mirror && !swaps), bottom: bottom !== (mirror && swaps), swaps };
}

function every(count: number): Int32Array {
  return Int32Array.from({ length: count }, (_, i) => i);
}

/** A row of the upright picture is a row of the buffer, or one of its columns; so each axis has its own table. */
function places(buffer: CameraBuffer, rows: Int32Array, columns: Int32Array): Places {
  const { right, bottom, swaps } = turnOf(buffer);
  const [alongX, alongY] = swaps ? [rows, columns] : [columns, rows];
  const storedX = right ? alongX.map((x) => buffer.width - 1 - x) : alongX;
  const storedY = bottom ? alongY.map((y) => buffer.height - 1 - y) : alongY;
  return buffer.planes.map(({ offset, rowStride, pixelStride }, i) => {
    const shift = i > 0 ? 1 : 0;
    const x = storedX.map((at) => (at >> shift) * pixelStride);
    const y = storedY.map((at) => offset + (at >> shift) * rowStride);
    return swaps ? { rows: x, columns: y } : { rows: y, columns: x };
  });
}

function resample(buffer: CameraBuffer, to: Resampling, out: Uint8Array): void {
  const { data, layout, matrix, planes } = buffer;
  const { kernels, left, right, stage } = to;
  to.begin(out, data.length, layout === 'BGRA_8888');
  kernels.memory.set(data, stage);
  const [first, second, third] = planes;
  if (layout !== 'YUV_420_888' || matrix === null) {
    const { offset, rowStride, pixelStride } = first!;
    for (const row of to.rows) {
      kernels.rgb(stage + offset + row * rowStride + left * pixelStride, pixelStride, to.at(row), right - left);
      to.give(row);
    }
  } else {
    const at = (plane: Plane, x: number, y: number): number =>
      stage + plane.offset + y * plane.rowStride + x * plane.pixelStride;
    const from: YuvRow = {
      y: 0,
      u: 0,
      v: 0,
      yStride: first!.pixelStride,
      uStride: second!.pixelStride,
      vStride: third!.pixelStride,
    };
    for (const row of to.rows) {
      from.y = at(first!, left, row);
      from.u = at(second!, left >> 1, row >> 1);
      from.v = at(third!, left >> 1, row >> 1);
      kernels.yuv(from, to.at(row), right - left, MATRICES[matrix]);
      to.give(row);
    }
  }
  to.end();
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
      out[to + red] = LEVELS[(level + Math.imul(rv, v)) >> 16]!;
      out[to + 1] = LEVELS[(level + Math.imul(gu, u) + Math.imul(gv, v)) >> 16]!;
      out[to + 2 - red] = LEVELS[(level + Math.imul(bu, u)) >> 16]!;
      to += 3;
    }
  }
}

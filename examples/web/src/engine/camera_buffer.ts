/** Camera frames as the browser hands them out, in its own pixel format, without a canvas where that is possible. */

import type { CameraBuffer, Plane } from '../core/frames.ts';
import { readRows } from './canvas.ts';
import { matrixOf, type MatrixName, type Verdict } from './yuv_matrix.ts';

/** A frame's pixels, and how they came. */
export interface Read {
  readonly buffer: CameraBuffer;
  readonly source: string;
}

type Layout = Pick<CameraBuffer, 'layout' | 'planes'>;

let store = new Uint8Array(0);
let beside = new Uint8Array(0);

/** Frames look alike for as long as this says the same of them. */
let kind = '';
let verdict: Verdict = { matrix: null, sure: false };
let lookAgain = 0;

/** Frames until a verdict that was not sure is looked at again. */
const PATIENCE = 30;

const NAMES: readonly MatrixName[] = ['bt601-limited', 'bt709-limited', 'bt601-full', 'bt709-full'];

/**
 * Copy a frame into the buffer that all frames share: it is valid until the next call.
 *
 * @param frame stays open.
 * @throws Error neither copying nor drawing works.
 */
export async function readFrame(frame: VideoFrame | ImageBitmap): Promise<Read> {
  if (!('copyTo' in frame)) return drawn(frame, frame.width, frame.height);
  const direct = await planesOf(frame);
  if (direct !== null) return direct;
  return (await converted(frame, room)) ?? drawn(frame, frame.displayWidth, frame.displayHeight);
}

/** The frame's own planes; null when the browser hides them, or it is not known what their values mean. */
async function planesOf(frame: VideoFrame): Promise<Read | null> {
  const direct = await copied(frame, room);
  if (direct === null || direct.buffer.layout !== 'YUV_420_888') return direct;
  const matrix = await matrixFor(frame, direct.buffer);
  return matrix === null ? null : { ...direct, buffer: { ...direct.buffer, matrix } };
}

type Room = (size: number) => Uint8Array<ArrayBuffer>;

/** Copied as it lies, or in the format that is asked for; null when that cannot be had. */
async function copied(frame: VideoFrame, into: Room, how?: VideoFrameCopyToOptions): Promise<Read | null> {
  const { visibleRect } = frame;
  const format = how?.format ?? frame.format;
  if (format === null || visibleRect === null) return null;
  // Pixels that are not square would be shown wider than they are stored.
  const turned = (frame.rotation ?? 0) % 180 !== 0;
  const shown = turned ? [frame.displayHeight, frame.displayWidth] : [frame.displayWidth, frame.displayHeight];
  if (shown[0] !== visibleRect.width || shown[1] !== visibleRect.height) return null;
  try {
    const data = into(frame.allocationSize(how));
    const layout = layoutOf(format, await frame.copyTo(data, how));
    if (layout === null) return null;
    return {
      source: format,
      buffer: {
        ...layout,
        data,
        width: visibleRect.width,
        height: visibleRect.height,
        matrix: null,
        rotation: (frame.rotation ?? 0) as CameraBuffer['rotation'],
        mirror: frame.flip ?? false,
      },
    };
  } catch {
    return null; // on some phones frames lie in the GPU and cannot be copied; drawing them works
  }
}

/** The browser's own conversion to RGBA, one to one, without a canvas. */
async function converted(frame: VideoFrame, into: Room): Promise<Read | null> {
  const read = await copied(frame, into, { format: 'RGBA' });
  return read === null ? null : { ...read, source: 'RGBA by the browser' };
}

/**
 * The matrix of a frame's planes. Many cameras do not say it, and some say what is not so: the first frame of its kind is
 * held against the browser's own conversion. Null when nothing gives that.
 */
async function matrixFor(frame: VideoFrame, planes: CameraBuffer): Promise<MatrixName | null> {
  const stated = statedMatrix(frame.colorSpace);
  const now = [frame.format, planes.width, planes.height, planes.rotation, planes.mirror, stated].join();
  if (now === kind && (verdict.sure || --lookAgain > 0)) return verdict.matrix;
  const seen = await converted(frame, roomBeside);
  if (seen === null) return null;
  verdict = matrixOf(planes, seen.buffer, stated === null ? NAMES : [stated, ...NAMES.filter((it) => it !== stated)]);
  kind = now;
  lookAgain = PATIENCE;
  return verdict.matrix;
}

function layoutOf(format: VideoPixelFormat, planes: readonly PlaneLayout[]): Layout | null {
  const [first, second, third] = planes;
  if (first === undefined) return null;
  const plane = (from: PlaneLayout, pixelStride: number, shift = 0): Plane => ({
    offset: from.offset + shift,
    rowStride: from.stride,
    pixelStride,
  });
  switch (format) {
    case 'I420':
    case 'I420A':
      if (second === undefined || third === undefined) return null;
      return { layout: 'YUV_420_888', planes: [plane(first, 1), plane(second, 1), plane(third, 1)] };
    case 'NV12':
      if (second === undefined) return null;
      return { layout: 'YUV_420_888', planes: [plane(first, 1), plane(second, 2), plane(second, 2, 1)] };
    case 'RGBA':
    case 'RGBX':
      return { layout: 'RGBA_8888', planes: [plane(first, 4)] };
    case 'BGRA':
    case 'BGRX':
      return { layout: 'BGRA_8888', planes: [plane(first, 4)] };
    default:
      return null;
  }
}

/** What a frame says of itself; null when it does not, or names one that is not known here. */
function statedMatrix({ matrix, fullRange }: VideoColorSpace): MatrixName | null {
  const range = fullRange === true ? 'full' : 'limited';
  switch (matrix) {
    case 'smpte170m':
    case 'bt470bg':
      return `bt601-${range}`;
    case 'bt709':
      return `bt709-${range}`;
    default:
      return null;
  }
}

/**
 * Drawn one to one; upright already. The last resort: Chromium keeps drawn frames in a cache that grows to half a
 * gigabyte, whether they are closed or not.
 */
function drawn(source: VideoFrame | ImageBitmap, width: number, height: number): Read {
  const data = room(width * height * 4);
  const every = Int32Array.from({ length: height }, (_, row) => row);
  readRows({ source, width, height }, every, (rgba, row) => data.set(rgba, row * width * 4));
  const planes = [{ offset: 0, rowStride: width * 4, pixelStride: 4 }];
  return {
    source: 'RGBA by canvas',
    buffer: { data, layout: 'RGBA_8888', width, height, planes, matrix: null, rotation: 0, mirror: false },
  };
}

/** For a frame beside the one in `room`. */
function roomBeside(size: number): Uint8Array<ArrayBuffer> {
  if (beside.length < size) beside = new Uint8Array(size);
  return beside.subarray(0, size);
}

function room(size: number): Uint8Array<ArrayBuffer> {
  if (store.length < size) store = new Uint8Array(size);
  return store.subarray(0, size);
}

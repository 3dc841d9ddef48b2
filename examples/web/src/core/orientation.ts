/** Pictures that a camera stored turned: what their file says of it, and the turning. */

import { crc32 } from './crc32.ts';
import { inXmp, takeFromTiff } from './exif.ts';
import { type Turn, UPRIGHT } from './sampling.ts';

/** What a file holds of its orientation; views of its bytes. */
interface Blocks {
  /** TIFF blocks, the one that counts first. */
  readonly exif: Uint8Array[];
  readonly xmp: Uint8Array[];
}

const EXIF = bytesOf('Exif\0\0');
const JPEG_XMP = bytesOf('http://ns.adobe.com/xap/1.0/\0');
const PNG_XMP = bytesOf('XML:com.adobe.xmp\0\0\0');
const PNG_SIGNATURE = bytesOf('\x89PNG\r\n\x1a\n');
const START_OF_SCAN = 0xda;
const END_OF_IMAGE = 0xd9;
const APP1 = 0xe1;

/**
 * Read the orientation of a JPEG, PNG or WebP file, and overwrite its EXIF with 1.
 *
 * Some browsers turn a picture by its EXIF whatever one asks; with none left to apply all give the pixels as they are
 * stored, and `orient` turns them.
 *
 * @param bytes the whole file; changed in place.
 * @returns 1 to 8, as EXIF numbers them; 1 when the file does not say, or is damaged there.
 */
export function takeOrientation(bytes: Uint8Array): number {
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return take(jpegBlocks(bytes));
  if (startsWith(bytes, PNG_SIGNATURE)) return takeFromPng(bytes);
  if (tag(bytes, 0) === 'RIFF' && tag(bytes, 8) === 'WEBP') return take(webpBlocks(bytes));
  return 1;
}

/**
 * Turn a picture upright.
 *
 * @param rgb width*height*3 bytes.
 * @param orientation 1 to 8, as EXIF numbers them.
 * @returns new pixels, and their size; the very same for orientation 1.
 */
export function orient(
  rgb: Uint8Array,
  width: number,
  height: number,
  orientation: number,
): { rgb: Uint8Array; width: number; height: number } {
  const turn = TURNS[orientation];
  if (turn === undefined) return { rgb, width, height };
  const [wide, high] = turn.swaps ? [height, width] : [width, height];
  // In bytes of the stored picture: where upright's first pixel lies, one pixel to the right of it, one row down.
  const [stepX, stepY] = [3, width * 3];
  const start = (turn.right ? (width - 1) * stepX : 0) + (turn.bottom ? (height - 1) * stepY : 0);
  const [alongX, alongY] = [turn.right ? -stepX : stepX, turn.bottom ? -stepY : stepY];
  const [across, down] = turn.swaps ? [alongY, alongX] : [alongX, alongY];
  const turned = new Uint8Array(rgb.length);
  // In squares: across a column of the stored picture, and without them every pixel is a miss of the cache.
  for (let top = 0; top < high; top += SQUARE) {
    for (let left = 0; left < wide; left += SQUARE) {
      for (let y = top; y < Math.min(top + SQUARE, high); y++) {
        let from = start + y * down + left * across;
        let to = (y * wide + left) * 3;
        for (let x = left; x < Math.min(left + SQUARE, wide); x++, from += across, to += 3) {
          turned[to] = rgb[from]!;
          turned[to + 1] = rgb[from + 1]!;
          turned[to + 2] = rgb[from + 2]!;
        }
      }
    }
  }
  return { rgb: turned, width: wide, height: high };
}

const SQUARE = 64;

/** How a picture of an EXIF orientation becomes upright. */
export function turnOf(orientation: number): Turn {
  return TURNS[orientation] ?? UPRIGHT;
}

/** By EXIF's number; 1 is upright already. */
const TURNS: Readonly<Record<number, Turn>> = {
  2: { right: true, bottom: false, swaps: false },
  3: { right: true, bottom: true, swaps: false },
  4: { right: false, bottom: true, swaps: false },
  5: { right: false, bottom: false, swaps: true },
  6: { right: false, bottom: true, swaps: true },
  7: { right: true, bottom: true, swaps: true },
  8: { right: true, bottom: false, swaps: true },
};

/** The first EXIF block counts; only where it says nothing does XMP. Every block is overwritten. */
function take({ exif, xmp }: Blocks): number {
  const [stated = null] = exif.map((block) => takeFromTiff(block));
  return stated ?? inXmp(xmp.at(-1) ?? new Uint8Array(0)) ?? 1;
}

function jpegBlocks(bytes: Uint8Array): Blocks {
  const blocks: Blocks = { exif: [], xmp: [] };
  const view = viewOf(bytes);
  for (let at = 2; at + 4 <= bytes.length;) {
    if (bytes[at] !== 0xff || bytes[at + 1] === 0xff) {
      at += 1; // padding before a marker
      continue;
    }
    const marker = bytes[at + 1]!;
    if (marker === START_OF_SCAN || marker === END_OF_IMAGE) break;
    const length = view.getUint16(at + 2);
    const segment = bytes.subarray(at + 4, at + 2 + length);
    if (marker === APP1 && startsWith(segment, EXIF)) blocks.exif.push(segment.subarray(EXIF.length));
    if (marker === APP1 && startsWith(segment, JPEG_XMP)) blocks.xmp.push(segment);
    at += 2 + length;
  }
  return blocks;
}

function webpBlocks(bytes: Uint8Array): Blocks {
  const blocks: Blocks = { exif: [], xmp: [] };
  const view = viewOf(bytes);
  for (let at = 12; at + 8 <= bytes.length;) {
    const size = view.getUint32(at + 4, true);
    const chunk = bytes.subarray(at + 8, at + 8 + size);
    if (tag(bytes, at) === 'EXIF') blocks.exif.push(startsWith(chunk, EXIF) ? chunk.subarray(EXIF.length) : chunk);
    if (tag(bytes, at) === 'XMP ') blocks.xmp.push(chunk);
    at += 8 + size + (size % 2);
  }
  return blocks;
}

function takeFromPng(bytes: Uint8Array): number {
  const blocks: Blocks = { exif: [], xmp: [] };
  const view = viewOf(bytes);
  const sums: (() => void)[] = [];
  for (let at = PNG_SIGNATURE.length; at + 12 <= bytes.length;) {
    const size = view.getUint32(at);
    const end = at + 8 + size;
    if (end + 4 > bytes.length) break;
    const chunk = bytes.subarray(at + 8, end);
    const summed = bytes.subarray(at + 4, end);
    // One whose sum is wrong is damaged, and no decoder looks at it.
    if (tag(bytes, at + 4) === 'eXIf' && crc32(summed) === view.getUint32(end)) {
      blocks.exif.push(startsWith(chunk, EXIF) ? chunk.subarray(EXIF.length) : chunk);
      sums.push(() => view.setUint32(end, crc32(summed)));
    }
    if (tag(bytes, at + 4) === 'iTXt' && startsWith(chunk, PNG_XMP)) blocks.xmp.push(chunk);
    at = end + 4;
  }
  const orientation = take(blocks);
  for (const sum of sums) sum();
  return orientation;
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

function startsWith(bytes: Uint8Array, start: Uint8Array): boolean {
  return start.every((byte, i) => bytes[i] === byte);
}

function tag(bytes: Uint8Array, at: number): string {
  return String.fromCharCode(...bytes.subarray(at, at + 4));
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

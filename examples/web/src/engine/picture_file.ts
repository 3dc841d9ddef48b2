/** What a picture file says of itself before anything is decoded: its format, its size, whether its end is there. */

import { imageDimensionsFromData } from 'image-dimensions';

import { PictureRejected } from '../core/errors.ts';

/** Larger pictures are refused, as in Python: they are decompression bombs, or would not fit a phone's memory. */
export const MAX_MEGAPIXELS = 128;

/** What to do about the format of iPhones, which few browsers decode. */
export const HEIC =
  'HEIC is not decoded by this browser: export as JPEG (iPhone: Settings > Camera > Formats > Most Compatible)';

export interface PictureFile {
  readonly format: 'jpeg' | 'png' | 'webp' | 'gif' | 'bmp' | 'avif' | 'heic';
  /** As stored, before any EXIF orientation. */
  readonly width: number;
  readonly height: number;
}

/**
 * Read a picture file's header.
 *
 * @throws PictureRejected it is empty, in another format, too large, or cut off.
 */
export function readHeader(bytes: Uint8Array): PictureFile {
  if (bytes.length === 0) throw new PictureRejected('empty: 0 bytes');
  const header = bitmap(bytes) ?? known(bytes);
  if (header === null || header.width < 1 || header.height < 1) {
    if (isHeic(bytes)) throw new PictureRejected(HEIC);
    throw new PictureRejected('not a picture in a format that this page reads (JPEG, PNG, WebP, GIF, BMP, AVIF)');
  }
  const megapixels = (header.width * header.height) / 1e6;
  if (megapixels > MAX_MEGAPIXELS) {
    const told = Number(megapixels.toPrecision(4));
    throw new PictureRejected(
      `${header.width}x${header.height} is ${told} megapixels, the limit is ${MAX_MEGAPIXELS}: ` +
        'make it smaller, or score it with edge-nima score',
    );
  }
  if (endsEarly(header.format, bytes)) throw new PictureRejected('damaged: the file ends before the picture does');
  return header;
}

function known(bytes: Uint8Array): PictureFile | null {
  let found: ReturnType<typeof imageDimensionsFromData>;
  try {
    found = imageDimensionsFromData(bytes);
  } catch (error) {
    throw new PictureRejected(
      `damaged: its header cannot be read (${error instanceof Error ? error.message : String(error)})`,
    );
  }
  return found === undefined ? null : { format: found.type, width: found.width, height: found.height };
}

/** An ISO media file with one of HEIC's brands; its size is told deeper inside, in boxes that may be missing. */
function isHeic(bytes: Uint8Array): boolean {
  const start = String.fromCharCode(...bytes.subarray(4, 12));
  return /^ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)$/.test(start);
}

function bitmap(bytes: Uint8Array): PictureFile | null {
  if (bytes.length < 26 || bytes[0] !== 0x42 || bytes[1] !== 0x4d) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(14, true) < 40)
    return { format: 'bmp', width: view.getUint16(18, true), height: view.getUint16(20, true) };
  // A negative height says that the rows run from the top.
  return { format: 'bmp', width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
}

/** Browsers decode what is there and leave the rest grey or empty: a half picture must not get a score. */
function endsEarly(format: PictureFile['format'], bytes: Uint8Array): boolean {
  if (format === 'jpeg') return !jpegEnds(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (format === 'png') {
    for (let at = 8; at + 12 <= bytes.length; at += 12 + view.getUint32(at)) {
      if (view.getUint32(at + 4) === 0x49454e44) return false; // IEND
    }
    return true;
  }
  return format === 'webp' && view.getUint32(4, true) + 8 > bytes.length;
}

/** Whether a JPEG's end marker follows its scans. */
function jpegEnds(bytes: Uint8Array): boolean {
  let at = 2;
  while (at + 1 < bytes.length) {
    if (bytes[at] !== 0xff) {
      at++; // inside the coded data of a scan
      continue;
    }
    const marker = bytes[at + 1]!;
    if (marker === 0xd9) return true;
    const alone = marker === 0xff || marker === 0 || marker === 1 || (marker >= 0xd0 && marker <= 0xd8);
    at += alone ? (marker === 0xff ? 1 : 2) : 2 + ((bytes[at + 2]! << 8) | bytes[at + 3]!);
  }
  return false;
}

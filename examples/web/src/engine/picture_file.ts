/** What a picture file says of itself before anything is decoded: its format, its size, whether its end is there. */

import { imageDimensionsFromData } from 'image-dimensions';

import { PictureRejected, reason } from '../core/errors.ts';

/** Larger pictures are refused, as in Python: they are decompression bombs, or would not fit a phone's memory. */
export const MAX_MEGAPIXELS = 128;

/** What to do about the format of iPhones, which few browsers decode. */
export const HEIC =
  'HEIC is not decoded by this browser: export as JPEG (iPhone: Settings > Camera > Formats > Most Compatible)';

/** What is said of a picture of which a part is missing. */
export const ENDS_EARLY = 'damaged: the file ends before the picture does';

export interface PictureFile {
  readonly format: 'jpeg' | 'png' | 'webp' | 'gif' | 'bmp' | 'avif' | 'heic';
  /** As stored, before any EXIF orientation. */
  readonly width: number;
  readonly height: number;
  /** What to append for a decoder to take it as whole; mostly nothing. */
  readonly tail: Uint8Array<ArrayBuffer>;
}

/** The chunk that ends a PNG. */
const IEND = Uint8Array.of(0, 0, 0, 0, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82);
/** Of an AVIF: a second picture that is its alpha; a codec configuration of more than eight bits. */
const ALPHA = /urn:mpeg:mpegB:cicp:systems:auxiliary:alpha/;
const DEEP = /av1C..[@-\x7f\xc0-\xff]/s;

/**
 * Read a picture file's header.
 *
 * @throws PictureRejected it is empty, in another format, too large, cut off, or of a kind that browsers misread.
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
  const boxes = header.format === 'avif' ? new TextDecoder('latin1').decode(bytes) : '';
  if (ALPHA.test(boxes)) {
    throw new PictureRejected('AVIF with transparency, which decoders read differently: export as PNG or WebP');
  }
  if (DEEP.test(boxes)) throw new PictureRejected('AVIF of more than 8 bits, which browsers round: export as JPEG');
  const tail = header.format === 'png' ? missingEnd(bytes) : new Uint8Array(0);
  if (header.format === 'webp' && new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true) + 8 > bytes.length) {
    throw new PictureRejected(ENDS_EARLY);
  }
  return { ...header, tail };
}

function known(bytes: Uint8Array): Omit<PictureFile, 'tail'> | null {
  let found: ReturnType<typeof imageDimensionsFromData>;
  try {
    found = imageDimensionsFromData(bytes);
  } catch (error) {
    throw new PictureRejected(`damaged: its header cannot be read (${reason(error)})`);
  }
  return found === undefined ? null : { format: found.type, width: found.width, height: found.height };
}

/** An ISO media file with one of HEIC's brands; its size is told deeper inside, in boxes that may be missing. */
function isHeic(bytes: Uint8Array): boolean {
  const start = String.fromCharCode(...bytes.subarray(4, 12));
  return /^ftyp(hei[cmsx]|hev[cmsx]|mif1|msf1)$/.test(start);
}

function bitmap(bytes: Uint8Array): Omit<PictureFile, 'tail'> | null {
  if (bytes.length < 26 || bytes[0] !== 0x42 || bytes[1] !== 0x4d) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(14, true) < 40)
    return { format: 'bmp', width: view.getUint16(18, true), height: view.getUint16(20, true) };
  // A negative height says that the rows run from the top.
  return { format: 'bmp', width: view.getInt32(18, true), height: Math.abs(view.getInt32(22, true)) };
}

/** The end of a PNG that lacks only that; one that is cut earlier is refused: some browsers decode what is there. */
function missingEnd(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 8;
  while (at + 12 <= bytes.length) {
    if (view.getUint32(at + 4) === 0x49454e44) return new Uint8Array(0); // IEND
    at += 12 + view.getUint32(at);
  }
  if (at > bytes.length) throw new PictureRejected(ENDS_EARLY);
  return IEND.slice(bytes.length - at);
}

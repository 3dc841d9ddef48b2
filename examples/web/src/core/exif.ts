/** The orientation in a block of EXIF data or of XMP, as Pillow finds it. */

const ORIENTATION_TAG = 0x0112;
const ENTRY = 12;
/** Bytes of the TIFF types that hold a whole number: SHORT, LONG and, signed, byte, SHORT and LONG. */
const WHOLE: Readonly<Record<number, Width>> = { 3: 2, 4: 4, 6: 1, 8: 2, 9: 4 };
/** Those that hold text or bytes, which no orientation is: BYTE, ASCII, UNDEFINED. */
const BYTES = [1, 2, 7];
const LAST_TYPE = 13;

type Width = 1 | 2 | 4;

/**
 * Read the orientation out of a TIFF block, and write 1 in its place.
 *
 * @param block from its byte order mark on; changed in place.
 * @returns 1 to 8; null when it does not say; 1 when it is damaged or says something else.
 */
export function takeFromTiff(block: Uint8Array): number | null {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength);
  const mark = block.length < 8 ? '' : String.fromCharCode(block[0]!, block[1]!);
  const little = mark === 'II';
  if ((!little && mark !== 'MM') || view.getUint16(2, little) !== 42) return 1;
  const directory = view.getUint32(4, little);
  if (directory + 2 > block.length) return null;
  const entries = view.getUint16(directory, little);
  let found: number | null = null;
  for (let i = 0, at = directory + 2; i < entries && at + ENTRY <= block.length; i++, at += ENTRY) {
    if (view.getUint16(at, little) !== ORIENTATION_TAG) continue;
    const type = view.getUint16(at + 2, little);
    if (type < 1 || type > LAST_TYPE) continue;
    const width = BYTES.includes(type) ? 1 : WHOLE[type];
    const inside = width !== undefined && view.getUint32(at + 4, little) * width <= 4; // else an offset is here
    const value = inside && !BYTES.includes(type) ? number(view, at + 8, width, little) : 1;
    found ??= value >= 1 && value <= 8 ? value : 1;
    if (inside) overwrite(view, at + 8, width, little);
  }
  return found;
}

/** The orientation that XMP states, where EXIF states none; null when it does not. No browser looks at it. */
export function inXmp(packet: Uint8Array): number | null {
  const stated = /tiff:Orientation(?:="|>)([0-9])/.exec(new TextDecoder('latin1').decode(packet))?.[1];
  if (stated === undefined) return null;
  const value = Number(stated);
  return value >= 1 && value <= 8 ? value : 1;
}

function number(view: DataView, at: number, width: Width, little: boolean): number {
  return width === 1 ? view.getUint8(at) : width === 2 ? view.getUint16(at, little) : view.getUint32(at, little);
}

function overwrite(view: DataView, at: number, width: Width, little: boolean): void {
  if (width === 1) view.setUint8(at, 1);
  else if (width === 2) view.setUint16(at, 1, little);
  else view.setUint32(at, 1, little);
}

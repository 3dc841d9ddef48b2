/** JPEG files of which a part is missing without the decoder saying so, as `edge_nima/jpeg.py`. */

import { type Drawable, readRows, samePixels } from './canvas.ts';

const END = 0xd9;
const START_OF_SCAN = 0xda;
/** Bytes: what was never written, or a flat part of a picture whose code for "the same" is 0. */
const ZEROS = 64;
/** Data, with restart markers in it: a decoder that still needs data takes it, one that is done does not. */
const FILLING = Uint8Array.from({ length: 24 * 101 }, (_, i) =>
  i % 101 < 99 ? ((37 * (i % 101) + 91) % 251) + 1 : i % 101 === 99 ? 0xff : 0xd0 + (Math.floor(i / 101) % 8),
);
export const END_OF_IMAGE = Uint8Array.of(0xff, END);

/** What a JPEG's segments say of its data. */
export interface Scans {
  /** Where the end marker is, or would be, and whether it is there. */
  readonly end: number;
  readonly ended: boolean;
  /** Whether the scans hold every coefficient of a picture in full. */
  readonly complete: boolean;
  /** Several scans, or four colours: what is missing does not show in the last pixel. */
  readonly several: boolean;
}

/** Read them, up to the end marker or the end of the data. */
export function readScans(bytes: Uint8Array): Scans {
  const missing = new Map<number, Set<number>>();
  let [at, progressive, layers, first] = [2, false, 0, 0];
  while (at + 4 <= bytes.length && bytes[at] === 0xff && bytes[at + 1] !== END) {
    const kind = bytes[at + 1]!;
    if (kind === 0xff) {
      at += 1; // fills
      continue;
    }
    const segment = bytes.subarray(at + 4, at + 2 + ((bytes[at + 2]! << 8) | bytes[at + 3]!));
    at = segment.byteOffset + segment.length - bytes.byteOffset;
    if (kind >= 0xc0 && kind <= 0xc2) {
      [progressive, layers] = [kind === 0xc2, segment[5] ?? 0];
      missing.clear();
      for (let i = 0; i < layers; i++) missing.set(segment[6 + 3 * i]!, new Set(Array(64).keys()));
    } else if (kind === START_OF_SCAN) {
      const parts = segment[0] ?? 0;
      first ||= parts;
      const [from = 0, to = 63, bits = 0] = segment.subarray(1 + 2 * parts);
      for (let i = 0; (bits & 15) === 0 && i < parts; i++) {
        for (let k = from; k <= to; k++) missing.get(segment[1 + 2 * i]!)?.delete(k);
      }
      at = nextMarker(bytes, at);
    }
  }
  const ended = bytes[at] === 0xff && bytes[at + 1] === END;
  const complete = !progressive || [...missing.values()].every(({ size }) => size === 0);
  return { end: ended ? at : bytes.length, ended, complete, several: progressive || first < layers || layers === 4 };
}

/**
 * Whether a JPEG's data lasts to the end of its picture.
 *
 * Decoders fill up in silence what is missing before the end marker. So the picture is decoded once more, with other
 * data appended: one that had all it needs stays the same. An ordinary picture is only looked at again where it ends in
 * mid-grey, with which decoders fill, or in zeros.
 *
 * @param shown what was decoded.
 */
export async function isWhole(
  bytes: Uint8Array<ArrayBuffer>,
  { end, ended, complete, several }: Scans,
  shown: Drawable,
  decode: (...parts: Uint8Array<ArrayBuffer>[]) => Promise<ImageBitmap>,
): Promise<boolean> {
  const tail = bytes.subarray(ended && end === bytes.length - 2 ? -4 : -2);
  if (ended && !several && !(tail[0] === 0 && tail[1] === 0) && !endsInGrey(shown)) return true;
  if (!complete) return false;
  const same = async (body: Uint8Array<ArrayBuffer>): Promise<boolean> => {
    const source = await decode(body, FILLING, END_OF_IMAGE);
    const is = samePixels(shown, { source, width: source.width, height: source.height });
    source.close();
    return is;
  };
  const data = bytes.subarray(0, bytes.subarray(0, end).findLastIndex((byte) => byte !== 0xff) + 1); // half a marker
  const filled = data.findLastIndex((byte) => byte !== 0) + 1;
  if (data.length - filled < ZEROS) return same(data);
  for (let own = 0; own < 3; own++) {
    if (await same(data.subarray(0, filled + own))) return true; // all but the first came after the picture
  }
  // A picture that needs its zeros needs the last ones too; where the rest was never written there are more.
  return end < bytes.length && !(await same(data.subarray(0, -2))) && same(data);
}

function endsInGrey(shown: Drawable): boolean {
  let grey = false;
  readRows(shown, [shown.height - 1], (rgba) => {
    grey = rgba.subarray(-4, -1).every((level) => level === 127 || level === 128);
  });
  return grey;
}

/** Where the marker after a scan is: no stuffed byte, no restart. */
function nextMarker(bytes: Uint8Array, from: number): number {
  for (let at = bytes.indexOf(0xff, from); at >= 0; at = bytes.indexOf(0xff, at + 1)) {
    const kind = bytes[at + 1] ?? 0;
    if (kind !== 0 && kind !== 0xff && !(kind >= 0xd0 && kind <= 0xd7)) return at;
  }
  return bytes.length;
}

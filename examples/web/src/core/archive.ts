import { inflateSync } from 'fflate';

import { crc32 } from './crc32.ts';

/** Bytes that are no whole zip archive. */
export class ArchiveDamaged extends Error {
  override readonly name = 'ArchiveDamaged';
}

interface Entry {
  readonly flags: number;
  readonly compression: number;
  readonly crc: number;
  readonly packed: number;
  readonly size: number;
  /** Of its local header, from the start of the file. */
  readonly at: number;
}

const END = 0x06054b50;
const CENTRAL = 0x02014b50;
const LOCAL = 0x04034b50;
const LONGEST_COMMENT = 0xffff;

/**
 * One file of the zip archive at the end of a larger file, its CRC held against the directory's.
 *
 * fflate inflates; the directory is read here, because fflate's own reader checks no CRC and knows nothing of bytes
 * before the archive.
 *
 * @param largest refuse an entry that unpacks to more bytes.
 * @returns null when the archive holds no file of that name.
 * @throws ArchiveDamaged there is no archive, or it is damaged.
 */
export function fileAtEnd(bytes: Uint8Array, name: string, largest: number): Uint8Array | null {
  try {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const entry = find(view, bytes, new TextEncoder().encode(name));
    if (entry === null) return null;
    if (entry.size > largest) throw new ArchiveDamaged(`${name} unpacks to more than ${largest} bytes`);
    return unpack(view, bytes, entry);
  } catch (error) {
    if (error instanceof ArchiveDamaged) throw error;
    throw new ArchiveDamaged(`not a whole zip archive: ${String(error)}`); // DataView and fflate on offsets beyond
  }
}

function find(view: DataView, bytes: Uint8Array, name: Uint8Array): Entry | null {
  const end = endRecord(view);
  const directory = view.getUint32(end + 12, true);
  // What was put before the archive: not counted in its offsets by some writers, counted by others.
  const before = end - directory - view.getUint32(end + 16, true);
  let found: Entry | null = null;
  for (let at = end - directory; at < end;) {
    if (view.getUint32(at, true) !== CENTRAL) throw new ArchiveDamaged('no zip directory where it must be');
    const named = bytes.subarray(at + 46, at + 46 + view.getUint16(at + 28, true));
    if (named.length === name.length && named.every((byte, i) => byte === name[i])) {
      found = {
        flags: view.getUint16(at + 8, true),
        compression: view.getUint16(at + 10, true),
        crc: view.getUint32(at + 16, true),
        packed: view.getUint32(at + 20, true),
        size: view.getUint32(at + 24, true),
        at: before + view.getUint32(at + 42, true),
      };
    }
    at += 46 + named.length + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return found;
}

function endRecord(view: DataView): number {
  const last = view.byteLength - 22;
  for (let at = last; at >= Math.max(0, last - LONGEST_COMMENT); at--) {
    if (view.getUint32(at, true) === END) return at;
  }
  throw new ArchiveDamaged('no zip archive at the end');
}

function unpack(view: DataView, bytes: Uint8Array, entry: Entry): Uint8Array {
  if (view.getUint32(entry.at, true) !== LOCAL) throw new ArchiveDamaged('no file where the zip directory says');
  if (entry.flags & 1) throw new ArchiveDamaged('encrypted');
  const start = entry.at + 30 + view.getUint16(entry.at + 26, true) + view.getUint16(entry.at + 28, true);
  const packed = bytes.subarray(start, start + entry.packed);
  if (entry.compression !== 0 && entry.compression !== 8) throw new ArchiveDamaged('an unknown compression');
  const content = entry.compression === 0 ? packed : inflateSync(packed, { out: new Uint8Array(entry.size) });
  if (content.length !== entry.size || crc32(content) !== entry.crc) throw new ArchiveDamaged('a wrong CRC');
  return content;
}

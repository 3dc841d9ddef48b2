import { crc32 as zlibCrc32 } from 'node:zlib';

import { describe, expect, it } from 'vitest';

import { orient, takeOrientation } from '../src/core/orientation.ts';
import { Random } from './random.ts';

const EVERY = [1, 2, 3, 4, 5, 6, 7, 8];
const FILES = { JPEG: jpeg, PNG: png, WebP: webp };

describe('the orientation of a file', () => {
  for (const [format, make] of Object.entries(FILES)) {
    for (const little of [true, false]) {
      it(`is read out of ${format}, ${little ? 'little' : 'big'} endian, and then is 1`, () => {
        for (const orientation of EVERY) {
          const file = make(exif(orientation, little));
          expect(takeOrientation(file)).toBe(orientation);
          expect(file).toEqual(make(exif(1, little)));
          expect(takeOrientation(file)).toBe(1);
        }
      });
    }

    it(`is 1 in ${format} without EXIF, which stays as it is`, () => {
      const file = make();
      expect(takeOrientation(file)).toBe(1);
      expect(file).toEqual(make());
    });

    it(`is taken from XMP in ${format} where EXIF says none, as Pillow does`, () => {
      expect(takeOrientation(make(undefined, 6))).toBe(6);
      expect(takeOrientation(make(exif(null, true), 8))).toBe(8);
      expect(takeOrientation(make(exif(3, true), 8))).toBe(3);
    });

    it(`is 1 in ${format} cut anywhere or changed anywhere, or one of the eight, and nothing is thrown`, () => {
      const random = new Random(11);
      const whole = make(exif(6, false), 8);
      for (let length = 0; length < whole.length; length++) {
        expect(EVERY).toContain(takeOrientation(whole.slice(0, length)));
      }
      for (let round = 0; round < 2000; round++) {
        const changed = whole.slice();
        for (let i = 0; i < 3; i++) changed[random.whole(0, whole.length - 1)] = random.whole(0, 255);
        expect(EVERY).toContain(takeOrientation(changed));
      }
    });
  }

  it('is 1 in a damaged EXIF block', () => {
    const damaged: [string, Uint8Array][] = [
      ['no byte order mark', Uint8Array.from(exif(6, true), (byte, i) => (i === 0 ? 0 : byte))],
      ['another number than 42', Uint8Array.from(exif(6, true), (byte, i) => (i === 2 ? 43 : byte))],
      ['a directory beyond the end', Uint8Array.from(exif(6, true), (byte, i) => (i === 5 ? 200 : byte))],
      ['an orientation of 0', exif(0, true)],
      ['an orientation of 9', exif(9, false)],
      ['a type that holds no whole number', exif(6, true, 5)],
      ['nothing', new Uint8Array(0)],
    ];
    for (const [what, block] of damaged) {
      for (const make of Object.values(FILES)) expect(takeOrientation(make(block)), what).toBe(1);
    }
  });

  it('is read as LONG too, which some cameras write', () => {
    for (const little of [true, false]) {
      const file = jpeg(exif(6, little, 4));
      expect(takeOrientation(file)).toBe(6);
      expect(takeOrientation(file)).toBe(1);
    }
  });

  it('is that of the first of two entries, and both are overwritten', () => {
    const block = exif(6, true);
    const twice = Uint8Array.from([...block.slice(0, 8), 2, 0, ...block.slice(22, 34), ...exif(8, true).slice(22)]);
    const file = webp(twice);
    expect(takeOrientation(file)).toBe(6);
    expect(file.filter((byte) => byte === 6 || byte === 8)).toHaveLength(
      webp(exif(1, true)).filter((byte) => byte === 8).length,
    );
  });

  it('is that of the first of two EXIF segments, and both are overwritten', () => {
    const first = jpeg(exif(6, true));
    const second = jpeg(exif(8, true));
    const both = concat(first.subarray(0, -4), second.subarray(2));
    expect(takeOrientation(both)).toBe(6);
    expect(both).toEqual(concat(jpeg(exif(1, true)).subarray(0, -4), jpeg(exif(1, true)).subarray(2)));
  });

  it('leaves a PNG chunk whose sum is wrong alone, as decoders do', () => {
    const file = png(exif(6, true));
    const at = file.length - 12 - 1; // the last byte of eXIf's sum, before IEND
    file[at] = file[at]! ^ 1;
    const before = file.slice();
    expect(takeOrientation(file)).toBe(1);
    expect(file).toEqual(before);
  });

  it('keeps the sum of a PNG chunk right', () => {
    const file = png(exif(5, false));
    takeOrientation(file);
    const view = new DataView(file.buffer);
    for (let at = 8; at < file.length; at += 12 + view.getUint32(at)) {
      const end = at + 8 + view.getUint32(at);
      expect(view.getUint32(end)).toBe(zlibCrc32(file.subarray(at + 4, end)));
    }
  });

  it('looks at no bytes behind the start of a JPEG scan', () => {
    const file = concat(jpeg(), jpeg(exif(6, true)).subarray(2));
    expect(takeOrientation(file)).toBe(1);
  });
});

describe('turning upright', () => {
  // What EXIF 2.3 says of tag 0x0112: where the stored first row and first column are seen.
  const seen: Record<number, string> = {
    1: 'abc def',
    2: 'cba fed',
    3: 'fed cba',
    4: 'def abc',
    5: 'ad be cf',
    6: 'da eb fc',
    7: 'fc eb da',
    8: 'cf be ad',
  };

  it('shows abc over def as each orientation says', () => {
    const stored = Uint8Array.from([...'abcdef'].flatMap((c) => [c.charCodeAt(0), 1, 2]));
    for (const [orientation, text] of Object.entries(seen)) {
      const { rgb, width, height } = orient(stored, 3, 2, Number(orientation));
      const rows = text.split(' ');
      expect([width, height], `orientation ${orientation}`).toEqual([rows[0]!.length, rows.length]);
      const letters = [...rgb].filter((_, i) => i % 3 === 0);
      expect(String.fromCharCode(...letters), `orientation ${orientation}`).toBe(rows.join(''));
      for (let i = 0; i < rgb.length; i++) if (i % 3 > 0) expect(rgb[i]).toBe(i % 3);
    }
  });

  it('by an orientation and then by its inverse gives the stored picture, also when larger than a square', () => {
    const random = new Random(12);
    const [width, height] = [201, 135];
    const stored = random.bytes(width * height * 3);
    for (const orientation of EVERY) {
      const inverse = { 6: 8, 8: 6 }[orientation] ?? orientation;
      const once = orient(stored, width, height, orientation);
      const twice = orient(once.rgb, once.width, once.height, inverse);
      expect(Buffer.compare(twice.rgb, stored)).toBe(0);
      expect([twice.width, twice.height]).toEqual([width, height]);
    }
  });

  it('copies nothing for 1', () => {
    const stored = new Uint8Array(6);
    expect(orient(stored, 2, 1, 1).rgb).toBe(stored);
  });
});

/** A TIFF block with a tag before and, unless null, the orientation. */
function exif(orientation: number | null, little: boolean, type = 3): Uint8Array {
  const block = new DataView(new ArrayBuffer(8 + 2 + 2 * 12 + 4));
  block.setUint16(0, little ? 0x4949 : 0x4d4d);
  block.setUint16(2, 42, little);
  block.setUint32(4, 8, little);
  block.setUint16(8, orientation === null ? 1 : 2, little);
  entry(10, 0x0100, 3, 640); // ImageWidth
  if (orientation !== null) entry(22, 0x0112, type, orientation);
  return new Uint8Array(block.buffer);

  function entry(at: number, tag: number, kind: number, value: number): void {
    block.setUint16(at, tag, little);
    block.setUint16(at + 2, kind, little);
    block.setUint32(at + 4, 1, little);
    if (kind === 3) block.setUint16(at + 8, value, little);
    else block.setUint32(at + 8, value, little);
  }
}

function xmpPacket(orientation: number): Uint8Array {
  return ascii(`<x:xmpmeta><rdf:Description tiff:Orientation="${orientation}"/></x:xmpmeta>`);
}

function jpeg(block?: Uint8Array, xmp?: number): Uint8Array {
  const segment = (content: Uint8Array): Uint8Array =>
    concat(Uint8Array.of(0xff, 0xe1, (content.length + 2) >> 8, (content.length + 2) & 255), content);
  return concat(
    Uint8Array.of(0xff, 0xd8),
    xmp === undefined ? [] : segment(concat(ascii('http://ns.adobe.com/xap/1.0/\0'), xmpPacket(xmp))),
    block === undefined ? [] : segment(concat(ascii('Exif\0\0'), block)),
    Uint8Array.of(0xff, 0xda, 0, 2),
  );
}

function png(block?: Uint8Array, xmp?: number): Uint8Array {
  const chunk = (name: string, content: Uint8Array): Uint8Array => {
    const summed = concat(ascii(name), content);
    return concat(uint32(content.length, false), summed, uint32(zlibCrc32(summed), false));
  };
  return concat(
    ascii('\x89PNG\r\n\x1a\n'),
    chunk('IHDR', new Uint8Array(13)),
    xmp === undefined ? [] : chunk('iTXt', concat(ascii('XML:com.adobe.xmp\0\0\0\0\0'), xmpPacket(xmp))),
    block === undefined ? [] : chunk('eXIf', block),
    chunk('IEND', new Uint8Array(0)),
  );
}

function webp(block?: Uint8Array, xmp?: number): Uint8Array {
  const chunk = (name: string, content: Uint8Array): Uint8Array =>
    concat(ascii(name), uint32(content.length, true), content, new Uint8Array(content.length % 2));
  const chunks = concat(
    chunk('VP8X', new Uint8Array(10)),
    chunk('ICCP', new Uint8Array(3)), // of odd size, so padded
    block === undefined ? [] : chunk('EXIF', block),
    xmp === undefined ? [] : chunk('XMP ', xmpPacket(xmp)),
  );
  return concat(ascii('RIFF'), uint32(chunks.length + 4, true), ascii('WEBP'), chunks);
}

function uint32(value: number, little: boolean): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, little);
  return bytes;
}

function ascii(text: string): Uint8Array {
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}

function concat(...parts: (Uint8Array | never[])[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

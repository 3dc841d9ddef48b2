import { describe, expect, it } from 'vitest';

import { PictureRejected } from '../src/core/errors.ts';
import { readScans } from '../src/engine/jpeg.ts';
import { MAX_MEGAPIXELS, readHeader } from '../src/engine/picture_file.ts';
import { Random } from './random.ts';

const text = (value: string): number[] => [...value].map((letter) => letter.charCodeAt(0));
const big = (value: number, bytes: number): number[] =>
  Array.from({ length: bytes }, (_, i) => (value / 256 ** (bytes - 1 - i)) & 255);

function png(width: number, height: number, end = true): Uint8Array {
  const header = [...big(13, 4), ...text('IHDR'), ...big(width, 4), ...big(height, 4), 8, 2, 0, 0, 0, ...big(0, 4)];
  const data = [...big(3, 4), ...text('IDAT'), 1, 2, 3, ...big(0, 4)];
  return Uint8Array.from([
    0x89,
    ...text('PNG\r\n\x1a\n'),
    ...header,
    ...data,
    ...(end ? [...big(0, 4), ...text('IEND'), ...big(0, 4)] : []),
  ]);
}

function jpeg(width: number, height: number, scan: readonly number[]): Uint8Array {
  const frame = [0xff, 0xc0, ...big(11, 2), 8, ...big(height, 2), ...big(width, 2), 1, 1, 0x11, 0];
  const start = [0xff, 0xda, ...big(8, 2), 1, 1, 0, 0, 63, 0];
  return Uint8Array.from([0xff, 0xd8, ...frame, ...start, ...scan]);
}

function bmp(width: number, height: number): Uint8Array {
  const bytes = new Uint8Array(54);
  const view = new DataView(bytes.buffer);
  bytes.set(text('BM'));
  view.setUint32(14, 40, true);
  view.setInt32(18, width, true);
  view.setInt32(22, height, true);
  return bytes;
}

describe('readHeader', () => {
  it('reads the size of a PNG', () => {
    expect(readHeader(png(640, 480))).toMatchObject({ format: 'png', width: 640, height: 480 });
  });

  it('reads the size of a JPEG', () => {
    const whole = jpeg(640, 480, [1, 2, 3, 0xff, 0xd9]);
    expect(readHeader(whole)).toMatchObject({ format: 'jpeg', width: 640, height: 480 });
  });

  it('reads the size of a BMP whose rows run from the top', () => {
    expect(readHeader(bmp(640, -480))).toMatchObject({ format: 'bmp', width: 640, height: 480 });
  });

  it('says of an empty file that it is empty', () => {
    expect(() => readHeader(new Uint8Array())).toThrow('empty: 0 bytes');
  });

  it('says which formats are possible when it is none of them', () => {
    expect(() => readHeader(Uint8Array.from(text('hello, this is a text')))).toThrow('JPEG, PNG, WebP, GIF, BMP, AVIF');
  });

  it('says of HEIC how to have JPEG, also when its size is not told', () => {
    expect(() => readHeader(Uint8Array.from([0, 0, 0, 24, ...text('ftypheic'), ...big(0, 20)]))).toThrow(
      'Most Compatible',
    );
  });

  it('takes a picture at the limit and refuses the next larger one before it is decoded', () => {
    expect(readHeader(png(16000, 8000)).width * 8000).toBe(MAX_MEGAPIXELS * 1e6);
    expect(() => readHeader(png(16001, 8000))).toThrow(PictureRejected);
    expect(() => readHeader(png(16001, 8000))).toThrow('16001x8000 is 128 megapixels, the limit is 128');
  });

  it('refuses a PNG cut within its data', () => {
    expect(() => readHeader(png(640, 480, false).subarray(0, -1))).toThrow('ends before the picture does');
  });

  it('completes a PNG that lacks only its end, or a part of that', () => {
    const whole = png(640, 480);
    expect([...readHeader(whole).tail]).toEqual([]);
    for (let cut = 1; cut < 12; cut++) {
      expect(readHeader(whole.subarray(0, -cut)).tail).toHaveLength(cut);
    }
  });

  it('refuses AVIF that browsers read otherwise', () => {
    const box = (name: string, ...content: number[]): number[] =>
      [big(8 + content.length, 4), text(name), content].flat();
    const avif = (depth: number, ...more: number[]): Uint8Array => {
      const size = box('ispe', ...big(0, 4), ...big(64, 4), ...big(48, 4));
      const properties = box('ipco', ...size, ...box('av1C', 0x81, 0, depth, 0), ...more);
      const used = box('ipma', ...big(0, 4), ...big(1, 4), ...big(1, 2), 1, 1);
      const primary = box('pitm', ...big(0, 4), ...big(1, 2));
      const meta = box('meta', ...big(0, 4), ...primary, ...box('iprp', ...properties, ...used));
      return Uint8Array.from([...box('ftyp', ...text('avif'), ...big(0, 4), ...text('mif1')), ...meta]);
    };
    expect(readHeader(avif(0))).toMatchObject({ format: 'avif', width: 64, height: 48 });
    expect(() => readHeader(avif(0x40))).toThrow('more than 8 bits');
    const alpha = box('auxC', ...big(0, 4), ...text('urn:mpeg:mpegB:cicp:systems:auxiliary:alpha'), 0);
    expect(() => readHeader(avif(0, ...alpha))).toThrow('transparency');
  });
});

describe('readScans', () => {
  it.each([
    { what: 'within the scan', scan: [1, 2, 3] },
    { what: 'behind a stuffed byte', scan: [1, 0xff, 0x00, 0xd9] },
    { what: 'behind a restart marker', scan: [1, 0xff, 0xd0, 2] },
  ])('misses the end of a JPEG cut $what', ({ scan }) => {
    const bytes = jpeg(640, 480, scan);
    expect(readScans(bytes)).toEqual({ end: bytes.length, ended: false, complete: true, several: false });
  });

  it('finds the end of a JPEG with something behind it', () => {
    const bytes = jpeg(640, 480, [1, 0xff, 0xd3, 2, 0xff, 0xd9, 7, 7, 7]);
    expect(readScans(bytes)).toMatchObject({ ended: true, end: bytes.length - 5 });
  });

  it('is not taken in by the end marker of a thumbnail', () => {
    const whole = jpeg(640, 480, [1, 2]);
    const thumbnail = [0xff, 0xe1, ...big(6, 2), 0xff, 0xd8, 0xff, 0xd9];
    const bytes = Uint8Array.from([...whole.subarray(0, 2), ...thumbnail, ...whole.subarray(2)]);
    expect(readScans(bytes).ended).toBe(false);
  });

  it('ends with any bytes changed or cut off', () => {
    const random = new Random(5);
    const whole = jpeg(640, 480, [...random.bytes(300), 0xff, 0xd9]);
    for (let round = 0; round < 2000; round++) {
      const changed = whole.slice(0, random.whole(2, whole.length));
      for (let i = 0; i < 4; i++) changed[random.whole(0, changed.length - 1)] = random.whole(0, 255);
      expect(readScans(changed).end).toBeLessThanOrEqual(changed.length);
    }
  });
});

import { describe, expect, it } from 'vitest';

import { PictureRejected } from '../src/core/errors.ts';
import { MAX_MEGAPIXELS, readHeader } from '../src/engine/picture_file.ts';

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
    expect(readHeader(png(640, 480))).toEqual({ format: 'png', width: 640, height: 480 });
  });

  it('reads the size of a JPEG', () => {
    expect(readHeader(jpeg(640, 480, [1, 2, 3, 0xff, 0xd9]))).toEqual({ format: 'jpeg', width: 640, height: 480 });
  });

  it('reads the size of a BMP whose rows run from the top', () => {
    expect(readHeader(bmp(640, -480))).toEqual({ format: 'bmp', width: 640, height: 480 });
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

  it('refuses a PNG without its end', () => {
    expect(() => readHeader(png(640, 480, false))).toThrow('ends before the picture does');
  });

  it.each([
    { what: 'within the scan', scan: [1, 2, 3] },
    { what: 'behind a stuffed byte', scan: [1, 0xff, 0x00, 0xd9] },
    { what: 'behind a restart marker', scan: [1, 0xff, 0xd0, 2] },
  ])('refuses a JPEG cut $what', ({ scan }) => {
    expect(() => readHeader(jpeg(640, 480, scan))).toThrow('ends before the picture does');
  });

  it('takes a JPEG with something behind its end', () => {
    expect(readHeader(jpeg(640, 480, [1, 0xff, 0xd3, 2, 0xff, 0xd9, 7, 7, 7])).format).toBe('jpeg');
  });

  it('is not taken in by the end marker of a thumbnail', () => {
    const whole = jpeg(640, 480, [1, 2]);
    const thumbnail = [0xff, 0xe1, ...big(6, 2), 0xff, 0xd8, 0xff, 0xd9];
    const bytes = Uint8Array.from([...whole.subarray(0, 2), ...thumbnail, ...whole.subarray(2)]);
    expect(() => readHeader(bytes)).toThrow('ends before the picture does');
  });
});

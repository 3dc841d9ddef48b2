import { describe, expect, it } from 'vitest';

import { FrameReader, upright } from '../src/core/frames.ts';
import { JavaScriptKernels } from '../src/core/kernels.ts';
import { kernels, SimdKernels } from '../src/core/kernels_simd.ts';
import { orient, turnOf } from '../src/core/orientation.ts';
import { FILTERS, reducedSize, type WeightedFilter } from '../src/core/preprocessing.ts';
import { picksOnly, resampler, Resampling } from '../src/core/resample.ts';
import { UPRIGHT } from '../src/core/sampling.ts';
import { HOW, Random } from './random.ts';
import { inputByDefinition } from './reference.ts';
import { Differences } from './vectors.ts';

const WEIGHTED = FILTERS.filter((filter): filter is WeightedFilter => filter !== 'nearest');
const BOTH = { 'WebAssembly with vectors': new SimdKernels(), JavaScript: new JavaScriptKernels() };

function preprocessing(random: Random) {
  return {
    ...random.preprocessing(random.of(FILTERS)),
    longest_edge: random.of([null, random.whole(1, 20), random.whole(20, 150)]),
    longest_edge_filter: random.of(WEIGHTED),
  };
}

/** Mostly not far from square, now and then a line; noise, or black and white, which filters overshoot. */
function picture(random: Random): { rgb: Uint8Array; width: number; height: number } {
  const most = random.of([3, 40, 200]);
  const [width, height] = [random.whole(1, most), random.whole(1, random.of([most, 300]))];
  const bytes = random.bytes(width * height * 3);
  return { rgb: random.of([true, false]) ? bytes : bytes.map((level) => (level < 128 ? 0 : 255)), width, height };
}

describe('the size after the step', () => {
  it.each([
    [640, 480, 640, 480],
    [641, 480, 640, 479],
    [1280, 720, 640, 360],
    [720, 1280, 360, 640],
    [1281, 1, 640, 1],
    [5000, 2, 640, 1],
    [1280, 3, 640, 2], // 1.5 and 2.5 are halves: to the even number
    [1280, 5, 640, 2],
    [640, 1, 640, 1],
  ])('%dx%d becomes %dx%d at 640', (width, height, ...right) => {
    expect(reducedSize(width, height, { ...HOW, longest_edge: 640 })).toEqual(right);
    expect(reducedSize(width, height, HOW)).toEqual([width, height]);
  });

  it('pixels are picked where no filter weighs them, and weighed elsewhere', () => {
    const edge = { ...HOW, longest_edge: 640 };
    expect([picksOnly(640, 480, edge), picksOnly(641, 480, edge), picksOnly(9000, 9000, HOW)]).toEqual([
      true,
      false,
      true,
    ]);
    expect(() => new Resampling(640, 480, edge)).toThrow('only picked');
  });
});

describe.each(Object.entries(BOTH))('pictures by %s', (_, by) => {
  it('become what the definition says, whatever their size, the edge and the filters', () => {
    const random = new Random(21);
    for (let round = 0; round < 120; round++) {
      const how = preprocessing(random);
      const { rgb, width, height } = picture(random);
      const out = new Uint8Array(how.width * how.height * 3);
      resampler(width, height, how, by)(rgb, out);
      const gap = new Differences().add(out, inputByDefinition(rgb, width, height, how));
      expect(gap.unequal, `${width}x${height} ${JSON.stringify(how)}`).toBe(0);
    }
  });

  it('that are stored turned become what the upright ones become', () => {
    const random = new Random(22);
    for (let round = 0; round < 96; round++) {
      const how = preprocessing(random);
      const { rgb, width, height } = picture(random);
      const orientation = 1 + (round % 8);
      const turned = orient(rgb, width, height, orientation);
      if (picksOnly(turned.width, turned.height, how)) continue;
      const resampling = new Resampling(turned.width, turned.height, how, turnOf(orientation), by);
      const out = new Uint8Array(how.width * how.height * 3);
      resampling.begin(out, 0);
      for (const row of resampling.rows) {
        const [left, right] = [resampling.left, resampling.right].map((column) => (row * width + column) * 3);
        by.memory.set(rgb.subarray(left, right), resampling.at(row));
        resampling.give(row);
      }
      resampling.end();
      const gap = new Differences().add(out, inputByDefinition(turned.rgb, turned.width, turned.height, how));
      expect(gap.unequal, `${width}x${height}, ${orientation}, ${JSON.stringify(how)}`).toBe(0);
    }
  });

  it('from a camera become what the upright ones become', () => {
    const random = new Random(23);
    for (let round = 0; round < 120; round++) {
      const how = preprocessing(random);
      const buffer = random.buffer(200);
      const { rgb, width, height } = upright(buffer);
      const gap = new Differences().add(
        new FrameReader(how, by).read(buffer),
        inputByDefinition(rgb, width, height, how),
      );
      expect(gap.unequal, JSON.stringify({ ...buffer, data: buffer.data.length, how })).toBe(0);
    }
  });

  it('above 640 pixels become what the definition says', () => {
    const random = new Random(24);
    const how = { ...HOW, longest_edge: 640 };
    for (const [width, height] of [[1280, 720], [720, 1280], [300, 1700], [1601, 2], [641, 480]] as const) {
      const rgb = random.bytes(width * height * 3);
      const out = new Uint8Array(how.width * how.height * 3);
      resampler(width, height, how, by)(rgb, out);
      expect(new Differences().add(out, inputByDefinition(rgb, width, height, how)).unequal).toBe(0);
    }
  });

  it('one after the other take no more memory, though several readers share it', () => {
    const random = new Random(25);
    const hows = [{ ...HOW, longest_edge: 64 }, { ...HOW, longest_edge: 90, filter: 'box', antialias: true } as const];
    const readers = hows.map((how) => new FrameReader(how, by));
    const buffers = Array.from({ length: 6 }, () => random.buffer(200));
    const read = (): Uint8Array[] => buffers.flatMap((buffer) => readers.map((reader) => reader.read(buffer)));
    const first = read();
    const { memory } = by;
    for (let round = 0; round < 5; round++) {
      read().forEach((input, i) => expect(new Differences().add(input, first[i]!).unequal).toBe(0));
    }
    expect(by.memory).toBe(memory);
  });
});

describe('the fastest kernels', () => {
  it('are those of WebAssembly, one memory for all', () => {
    expect(kernels()).toBeInstanceOf(SimdKernels);
    expect(kernels()).toBe(kernels());
  });

  it('take what fits only 32 bits as JavaScript does', () => {
    const random = new Random(26);
    const weights = Int32Array.from({ length: 4 * 32 }, () => random.whole(-(2 ** 26), 2 ** 26));
    const given = random.bytes(16 * 32);
    const sums = Object.values(BOTH).map((by) => {
      by.reserve(65536);
      by.owner = null;
      new Int32Array(by.memory.buffer, 0, 4).set([0, 3, 6, 9]);
      by.weights(weights, 64);
      by.memory.set(given, 4096);
      by.across(0, 64, 4, 32, 4096, 8192);
      by.down(64, 16, { at: 4096, stride: 16, slots: 32 }, 5, 8448, 16);
      return [...by.memory.slice(8192, 8204), ...by.memory.slice(8448, 8464)];
    });
    expect(sums[0]).toEqual(sums[1]);
  });
});

it('a picture that is stored upright is turned by nothing', () => {
  expect([0, 1, 9].map(turnOf)).toEqual([UPRIGHT, UPRIGHT, UPRIGHT]);
});

import { createHash } from 'node:crypto';

import { describe, expect, it } from 'vitest';

import { type Card, parseCard, type Probe, readCard } from '../src/core/card.ts';
import { checkModel, pixelsSha256, type ProbeResult } from '../src/core/check.ts';
import { meanRating } from '../src/core/distribution.ts';
import { ModelRejected } from '../src/core/errors.ts';
import { toInput } from '../src/core/resample.ts';
import { decodePng } from './png.ts';
import { HOW, Random } from './random.ts';
import { describeVectors, readVector } from './vectors.ts';

const how = { ...HOW, width: 8, height: 6 };
const picture = { rgb: new Random(20).bytes(20 * 10 * 3), width: 20, height: 10 };
const OWN = [0, 0, 0.1, 0.2, 0.4, 0.2, 0.1, 0, 0, 0];
const REFERENCE = [0, 0, 0.1, 0.2, 0.395, 0.205, 0.1, 0, 0, 0];

const sha256 = (pixels: Uint8Array, height: number, width: number): string =>
  createHash('sha256').update(`${height},${width},3:`).update(pixels).digest('hex');

const probe: Probe = {
  name: 'one',
  png: Uint8Array.of(1),
  pixelsSha256: sha256(picture.rgb, 10, 20),
  inputSha256: sha256(toInput(picture.rgb, 20, 10, how), 6, 8),
  reference: REFERENCE,
  own: OWN,
};

const bare = parseCard(
  JSON.stringify({ format: 'edge-nima card', format_version: 1, name: 'a model', preprocessing: how }),
);
const card: Card = { ...bare, tolerance: { own: 0.001, reference: 0.01 }, probes: [probe] };

const decode = async (): Promise<typeof picture> => picture;
const answering = (p: readonly number[]) => async (): Promise<Float64Array> => Float64Array.from(p);

async function only(given: Promise<ProbeResult[]>): Promise<ProbeResult> {
  const [result, ...others] = await given;
  expect(others).toEqual([]);
  return result!;
}

/** OWN with so much of the mass of 5 one rating up: the mean moves by as much. */
const moved = (by: number): number[] => OWN.map((p, i) => (i === 4 ? p - by : i === 5 ? p + by : p));

describe('golden probes', () => {
  it('pass with the right pixels, the right input and the right answer', async () => {
    const result = await only(checkModel(card, decode, answering(OWN)));
    expect(result).toMatchObject({
      name: 'one',
      pixelsSame: true,
      inputSame: true,
      largestBin: 0,
      ownGap: 0,
      problem: null,
    });
    expect(result.mean).toBe(meanRating(OWN));
    expect(result.referenceGap).toBeCloseTo(-0.005, 12);
  });

  it('give the model the input that the card asks for', async () => {
    const inputs: Uint8Array[] = [];
    await checkModel(card, decode, async (input) => {
      inputs.push(input);
      return Float64Array.from(OWN);
    });
    expect(inputs).toEqual([toInput(picture.rgb, 20, 10, how)]);
  });

  it('pass up to the tolerance of the card and fail beyond it', async () => {
    expect((await only(checkModel(card, decode, answering(moved(0.0009))))).problem).toBeNull();
    const beyond = await only(checkModel(card, decode, answering(moved(0.0011))));
    expect(beyond.problem).toBe('scores otherwise than where it was made (limit 0.001)');
    expect(beyond.ownGap).toBeCloseTo(0.0011, 12);
  });

  it('fail by a bin when the mean is the same', async () => {
    const wider = OWN.map((p, i) => (i === 4 ? p - 0.004 : i === 3 || i === 5 ? p + 0.002 : p));
    const result = await only(checkModel(card, decode, answering(wider)));
    expect(Math.abs(result.ownGap)).toBeLessThan(1e-12);
    expect(result.largestBin).toBeCloseTo(0.004, 12);
    expect(result.problem).toBe('scores otherwise than where it was made (limit 0.001)');
  });

  it('fail far from the float model', async () => {
    const result = await only(checkModel(card, decode, answering(moved(-0.02))));
    expect(result.problem).toBe(
      'scores otherwise than where it was made (limit 0.001); too far from the float model (limit 0.01)',
    );
  });

  it('fail with NaN', async () => {
    const result = await only(checkModel(card, decode, answering(OWN.map(() => NaN))));
    expect(result.problem).not.toBeNull();
    expect(result.mean).toBeNaN();
  });

  it('fail with other pixels, even when the score is right', async () => {
    const other = { ...picture, rgb: picture.rgb.map((level, i) => (i === 0 ? level ^ 1 : level)) };
    const result = await only(checkModel(card, async () => other, answering(OWN)));
    expect(result).toMatchObject({ pixelsSame: false, problem: 'decodes to other pixels' });
  });

  it('tell another input, which only the score judges', async () => {
    const elsewhere = { ...card, probes: [{ ...probe, inputSha256: 'made by another Pillow' }] };
    expect(await only(checkModel(elsewhere, decode, answering(OWN)))).toMatchObject({
      inputSame: false,
      problem: null,
    });
    const result = await only(checkModel(elsewhere, decode, answering(moved(0.002))));
    expect(result.problem).toBe('scores otherwise than where it was made (limit 0.001, and resizes to another input)');
  });

  it('become a problem each when decoding or running throws, and the others are still run', async () => {
    let runs = 0;
    const two = { ...card, probes: [probe, { ...probe, name: 'two' }] };
    const [first, second] = await checkModel(two, decode, async () => {
      if (runs++ === 0) throw new Error('memory access\n  out of bounds');
      return Float64Array.from(OWN);
    });
    expect(first).toMatchObject({ pixelsSame: true, inputSame: true, problem: 'memory access out of bounds' });
    expect(second).toMatchObject({ name: 'two', problem: null });
    const undecoded = await only(checkModel(card, () => Promise.reject(new Error('no decoder')), answering(OWN)));
    expect(undecoded).toMatchObject({ pixelsSame: null, inputSame: null, problem: 'no decoder' });
  });

  it('are missed: a model without any cannot be checked', async () => {
    const message = 'a model carries no golden probes, so there is nothing to check it by; convert it again';
    await expect(checkModel(bare, decode, answering(OWN))).rejects.toThrow(new ModelRejected(message));
  });
});

it('names pixels by their shape and their bytes, as Python does', async () => {
  const pixels = Uint8Array.of(1, 2, 3, 4, 5, 6);
  expect(await pixelsSha256(pixels, 1, 2)).toBe(sha256(pixels, 1, 2));
  expect(await pixelsSha256(pixels, 2, 1)).not.toBe(await pixelsSha256(pixels, 1, 2));
});

describeVectors('golden probes of the model', ({ model }) => {
  it('decode and resize here to what they are in Python', async () => {
    const real = readCard(readVector(model.file));
    let next = 0;
    const results = await checkModel(
      real,
      async (png) => decodePng(png),
      async () => Float64Array.from(real.probes[next++]!.own),
    );
    for (const result of results) expect(result).toMatchObject({ pixelsSame: true, inputSame: true, problem: null });
    expect(results).toHaveLength(real.probes.length);
  });
});

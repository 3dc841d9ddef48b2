/** Golden probes run here, as `edge_nima/check.py`: decoding, resizing, arithmetic, each held against the card. */

import type { Card, Probe } from './card.ts';
import { meanRating } from './distribution.ts';
import { ModelRejected, reason } from './errors.ts';
import { toInput } from './resample.ts';

/** Decodes a PNG file to upright RGB, height*width*3 bytes. */
export type Decode = (png: Uint8Array) => Promise<{ rgb: Uint8Array; width: number; height: number }>;

/** Scores a model's input: ten proportions. */
export type Run = (input: Uint8Array) => Promise<Float64Array>;

/** What one probe gave here. */
export interface ProbeResult {
  readonly name: string;
  /** Decoded to the very pixels; null when that far it did not come. */
  readonly pixelsSame: boolean | null;
  /** Resized to the very input. */
  readonly inputSame: boolean | null;
  /** Mean rating here; NaN when it was not scored, as are the gaps and `largestBin` then. */
  readonly mean: number;
  /** Mean rating that this model gave where it was made. */
  readonly ownMean: number;
  /** Mean rating of the float checkpoint. */
  readonly referenceMean: number;
  /** `mean` less `ownMean`, rating points. */
  readonly ownGap: number;
  /** `mean` less `referenceMean`, rating points. */
  readonly referenceGap: number;
  /** Largest difference of a bin from what this model gave where it was made. */
  readonly largestBin: number;
  /** Why it fails; null when it passes. */
  readonly problem: string | null;
}

/**
 * Run a model's golden probes through this device's decoding, resizing and interpreter, one after the other.
 *
 * @returns one result a probe. It fails when the picture decodes to other pixels, when the mean or a bin lies further
 *   from this model's own answer than the card's `tolerance.own`, or the mean further from the float checkpoint's
 *   than `tolerance.reference`, or when decoding or scoring throws.
 * @throws ModelRejected the card holds no probes.
 */
export async function checkModel(card: Card, decode: Decode, run: Run): Promise<ProbeResult[]> {
  if (card.probes.length === 0) {
    throw new ModelRejected(
      `${card.name} carries no golden probes, so there is nothing to check it by; convert it again`,
    );
  }
  const results: ProbeResult[] = [];
  for (const probe of card.probes) results.push(await result(probe, card, decode, run));
  return results;
}

/**
 * SHA-256 of a picture's shape and samples, as hexadecimal: "height,width,3:" in ASCII, then the bytes.
 *
 * @param pixels height*width*3 bytes.
 */
export async function pixelsSha256(pixels: Uint8Array, height: number, width: number): Promise<string> {
  const shape = new TextEncoder().encode(`${height},${width},3:`);
  const whole = new Uint8Array(shape.length + pixels.length);
  whole.set(shape);
  whole.set(pixels, shape.length);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', whole));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

async function result(probe: Probe, card: Card, decode: Decode, run: Run): Promise<ProbeResult> {
  const [ownMean, referenceMean] = [meanRating(probe.own), meanRating(probe.reference)];
  let pixelsSame: boolean | null = null;
  let inputSame: boolean | null = null;
  let [mean, largestBin] = [NaN, NaN];
  let problem: string | null = null;
  try {
    const how = card.preprocessing;
    const { rgb, width, height } = await decode(probe.png);
    pixelsSame = (await pixelsSha256(rgb, height, width)) === probe.pixelsSha256;
    const input = toInput(rgb, width, height, how);
    inputSame = (await pixelsSha256(input, how.height, how.width)) === probe.inputSha256;
    const distribution = await run(input);
    largestBin = Math.max(...probe.own.map((p, i) => Math.abs((distribution[i] ?? NaN) - p)));
    mean = meanRating(distribution);
  } catch (error) {
    problem = reason(error);
  }
  const measured = {
    name: probe.name,
    pixelsSame,
    inputSame,
    mean,
    ownMean,
    referenceMean,
    largestBin,
    ownGap: mean - ownMean,
    referenceGap: mean - referenceMean,
  };
  return { ...measured, problem: problem ?? judged(measured, card.tolerance) };
}

function judged(result: Omit<ProbeResult, 'problem'>, limits: Card['tolerance']): string | null {
  const problems: string[] = [];
  if (result.pixelsSame !== true) problems.push('decodes to other pixels');
  // Written so that NaN fails.
  if (!(Math.abs(result.ownGap) <= limits.own && result.largestBin <= limits.own)) {
    const where = result.inputSame === true ? '' : ', and resizes to another input';
    problems.push(`scores otherwise than where it was made (limit ${limits.own}${where})`);
  }
  if (!(Math.abs(result.referenceGap) <= limits.reference)) {
    problems.push(`too far from the float model (limit ${limits.reference})`);
  }
  return problems.length > 0 ? problems.join('; ') : null;
}

/** The sheet that travels inside a .tflite, as `edge_nima/card.py`: how it wants its pixels, and its golden probes. */

import { ArchiveDamaged, fileAtEnd } from './archive.ts';
import { asDistribution } from './distribution.ts';
import { ModelRejected, reason, shown } from './errors.ts';
import { isObject, parseVerdict, type Verdict } from './gate.ts';
import { parsePreprocessing, type Preprocessing } from './preprocessing.ts';

export { describe, type Preprocessing } from './preprocessing.ts';

/** A small picture whose score is known, so that a device can test its own decoding, resizing and arithmetic. */
export interface Probe {
  /** What it tries. */
  readonly name: string;
  /** The picture, a lossless PNG file. */
  readonly png: Uint8Array;
  /** Of the decoded picture, upright RGB, as `pixelsSha256`. */
  readonly pixelsSha256: string;
  /** Of the model's uint8 input made from it, likewise. */
  readonly inputSha256: string;
  /** What the float checkpoint says: ten proportions. */
  readonly reference: readonly number[];
  /** What this very model said where it was made. */
  readonly own: readonly number[];
}

/** What a model says of itself, as far as it is used here. Only `name` and `preprocessing` are needed to score. */
export interface Card {
  readonly name: string;
  readonly preprocessing: Preprocessing;
  /** How the weights are stored and the arithmetic done: float32, float16, dynamic, int8, ... */
  readonly recipe: string;
  readonly licence: string;
  readonly attribution: string;
  /** Whether its agreement with the float checkpoint is within tolerance; null in cards without one. */
  readonly gate: Verdict | null;
  /** Largest difference of a probe's mean, rating points: from `own` and from `reference`. */
  readonly tolerance: { readonly own: number; readonly reference: number };
  readonly probes: readonly Probe[];
}

const FORMAT = 'edge-nima card';
/** The newest that is read: 3 where the preprocessing has factors a channel or planes, 2 where it has a `longest_edge`. */
const FORMAT_VERSION = 3;
const CARD_FILE = 'edge_nima_card.json';
const LARGEST_CARD = 32 << 20;
const TOLERANCE = { own: 0.001, reference: 0.01 };

/**
 * The card inside a .tflite.
 *
 * @param model the whole file.
 * @throws ModelRejected it is no .tflite, carries no card, or one that is damaged or of a newer format.
 */
export function readCard(model: Uint8Array): Card {
  if (String.fromCharCode(...model.subarray(4, 8)) !== 'TFL3') {
    throw new ModelRejected('not a .tflite: the file does not have its signature TFL3');
  }
  let json: Uint8Array | null = null;
  try {
    json = fileAtEnd(model, CARD_FILE, LARGEST_CARD);
  } catch (error) {
    if (!(error instanceof ArchiveDamaged)) throw error;
    if (holds(model, new TextEncoder().encode(CARD_FILE))) {
      throw new ModelRejected('the card inside the .tflite is damaged: the file is truncated or changed');
    }
  }
  if (json === null) {
    throw new ModelRejected(
      'the .tflite carries no card, so nobody knows how it wants its pixels: convert it with edge-nima convert, ' +
        'or put one in with edge-nima card',
    );
  }
  return parseCard(json);
}

/**
 * Read a card's JSON.
 *
 * @throws ModelRejected not JSON, not a card, of a newer format, or a part that is missing or impossible.
 */
export function parseCard(json: string | Uint8Array): Card {
  const raw = parsed(json);
  if (!isObject(raw) || raw['format'] !== FORMAT) {
    throw new ModelRejected(`this JSON is no card: a card starts with "format": "${FORMAT}"`);
  }
  const { format_version: version, name, preprocessing, probes = [], gate = null, tolerance = TOLERANCE } = raw;
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1) {
    throw new ModelRejected(`the card's format_version is ${shown(version)}; possible: 1 to ${FORMAT_VERSION}`);
  }
  if (version > FORMAT_VERSION) {
    throw new ModelRejected(
      `the card has format ${version}, this page reads up to ${FORMAT_VERSION}: reload the page; if it stays, where ` +
        'it is served from: pip install --upgrade edge-nima',
    );
  }
  if (typeof name !== 'string' || !/^[^\p{C}\p{Zl}\p{Zp}]+$/u.test(name)) {
    throw new ModelRejected(`the card's name is ${shown(name)}; possible: one line of text`);
  }
  if (!isObject(preprocessing)) throw new ModelRejected('the card has no preprocessing');
  if (!Array.isArray(probes)) throw new ModelRejected("the card's probes is not a list");
  return {
    name,
    recipe: text(raw, 'recipe', 'unknown'),
    licence: text(raw, 'licence', 'unknown'),
    attribution: text(raw, 'attribution', ''),
    preprocessing: parsePreprocessing(preprocessing),
    probes: probes.map(probe),
    gate: gate === null ? null : parseVerdict(gate),
    tolerance: { own: limit(tolerance, 'own'), reference: limit(tolerance, 'reference') },
  };
}

function parsed(json: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof json === 'string' ? json : new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (error) {
    throw new ModelRejected(`a card is JSON; this is not (${reason(error)})`);
  }
}

function text(raw: Readonly<Record<string, unknown>>, key: string, otherwise: string): string {
  const { [key]: value = otherwise } = raw;
  if (typeof value !== 'string') throw new ModelRejected(`the card's ${key} is not text`);
  return value;
}

function limit(tolerance: unknown, key: string): number {
  const value = isObject(tolerance) ? tolerance[key] : undefined;
  // A tolerance of more than the scale's nine points is one that nothing can fail.
  if (typeof value === 'number' && value > 0 && value <= 9) return value;
  throw new ModelRejected(`the card's tolerance.${key} is not a number above 0, at most 9 rating points`);
}

function probe(raw: unknown): Probe {
  const { name, png, pixels_sha256, input_sha256, reference, own } = isObject(raw) ? raw : {};
  try {
    return {
      name: String(name),
      png: Uint8Array.from(atob(String(png)), (c) => c.charCodeAt(0)),
      pixelsSha256: String(pixels_sha256),
      inputSha256: String(input_sha256),
      reference: proportions(reference),
      own: proportions(own),
    };
  } catch (error) {
    throw new ModelRejected(`a golden probe of the card is damaged: ${reason(error)}`);
  }
}

function proportions(value: unknown): readonly number[] {
  if (!Array.isArray(value) || !value.every((p) => typeof p === 'number')) {
    throw new RangeError('own and reference are lists of numbers');
  }
  asDistribution(value);
  return value;
}

function holds(bytes: Uint8Array, wanted: Uint8Array): boolean {
  const [first = 0] = wanted;
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return true;
  }
  return false;
}

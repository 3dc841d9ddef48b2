/** The sheet that travels inside a .tflite, as `edge_nima/card.py`: how it wants its pixels, and its golden probes. */

import { ArchiveDamaged, fileAtEnd } from './archive.ts';
import { asDistribution } from './distribution.ts';
import { ModelRejected } from './errors.ts';
import { parseVerdict, type Verdict } from './gate.ts';
import { parsePreprocessing, type Preprocessing } from './preprocessing.ts';
import { isPrintable, repr } from './python_text.ts';

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

/** Facts by name, as the card holds them. */
export type Facts = Readonly<Record<string, unknown>>;

/** What a model says of itself. Only `name` and `preprocessing` are needed to score with it. */
export interface Card {
  readonly name: string;
  readonly preprocessing: Preprocessing;
  /** How the weights are stored and the arithmetic done: float32, float16, dynamic, int8, ... */
  readonly recipe: string;
  readonly licence: string;
  readonly attribution: string;
  /** The checkpoint: file, sha256, architecture. */
  readonly source: Facts;
  /** Versions of what made this file. */
  readonly converter: Facts;
  readonly output: string;
  readonly labels: readonly string[];
  /** The photographs that set the integer ranges: n, sha256 of their ids, bins, seed. */
  readonly calibration: Facts | null;
  /** Agreement with the float checkpoint, and on which photographs. */
  readonly agreement: Facts | null;
  /** Whether that agreement is within tolerance; null in cards made before there was a gate. */
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
const TEXTS = { recipe: 'unknown', licence: 'unknown', attribution: '' };
const OUTPUT = 'proportion of people expected to give each rating 1..10; sums to 1';
const RATINGS = Array.from({ length: 10 }, (_, i) => String(i + 1));
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
  const version = raw['format_version'];
  if (typeof version !== 'number' || !Number.isInteger(version) || version < 1) {
    throw new ModelRejected(
      `the card's format_version is ${repr(version).slice(0, 60)}; possible: 1 to ${FORMAT_VERSION}`,
    );
  }
  if (version > FORMAT_VERSION) {
    throw new ModelRejected(
      `the card has format ${version}, this page reads up to ${FORMAT_VERSION}: reload the page; if it stays, where ` +
        'it is served from: pip install --upgrade edge-nima',
    );
  }
  return card(raw);
}

function parsed(json: string | Uint8Array): unknown {
  try {
    return JSON.parse(typeof json === 'string' ? json : new TextDecoder('utf-8', { fatal: true }).decode(json));
  } catch (error) {
    throw new ModelRejected(`a card is JSON; this is not (${error instanceof Error ? error.message : String(error)})`);
  }
}

function card(raw: Facts): Card {
  const { name, preprocessing } = raw;
  if (typeof name !== 'string') throw new ModelRejected('the card has no name');
  if (!isObject(preprocessing)) throw new ModelRejected('the card has no preprocessing');
  if (name === '' || !isPrintable(name)) {
    throw new ModelRejected(`the card's name is ${repr(name).slice(0, 60)}; possible: one line of text`);
  }
  return {
    name,
    recipe: text(raw, 'recipe', TEXTS.recipe),
    licence: text(raw, 'licence', TEXTS.licence),
    attribution: text(raw, 'attribution', TEXTS.attribution),
    output: text(raw, 'output', OUTPUT),
    source: facts(raw, 'source') ?? {},
    converter: facts(raw, 'converter') ?? {},
    calibration: raw['calibration'] === null ? null : facts(raw, 'calibration'),
    agreement: raw['agreement'] === null ? null : facts(raw, 'agreement'),
    preprocessing: parsePreprocessing(preprocessing),
    labels: list(raw, 'labels', RATINGS).map(String),
    probes: list(raw, 'probes', []).map(probe),
    gate: (raw['gate'] ?? null) === null ? null : parseVerdict(raw['gate']),
    tolerance: tolerance(facts(raw, 'tolerance') ?? TOLERANCE),
  };
}

function text(raw: Facts, key: string, otherwise: string): string {
  const value = raw[key] === undefined ? otherwise : raw[key];
  if (typeof value !== 'string') throw new ModelRejected(`the card's ${key} is not text`);
  return value;
}

function facts(raw: Facts, key: string): Facts | null {
  const value = raw[key];
  if (value === undefined) return null;
  if (!isObject(value)) throw new ModelRejected(`the card's ${key} is not an object`);
  return value;
}

function list(raw: Facts, key: string, otherwise: readonly unknown[]): readonly unknown[] {
  const value = raw[key] === undefined ? otherwise : raw[key];
  if (!Array.isArray(value)) throw new ModelRejected(`the card's ${key} is not a list`);
  return value;
}

function tolerance(raw: Facts): Card['tolerance'] {
  const limit = (key: string): number => {
    const value = raw[key];
    // A tolerance of more than the scale's nine points is one that nothing can fail.
    if (typeof value === 'number' && value > 0 && value <= 9) return value;
    throw new ModelRejected(`the card's tolerance.${key} is not a number above 0, at most 9 rating points`);
  };
  return { own: limit('own'), reference: limit('reference') };
}

function probe(raw: unknown): Probe {
  if (!isObject(raw)) throw damagedProbe('it is not an object');
  const part = (key: string): unknown => {
    if (!Object.hasOwn(raw, key)) throw damagedProbe(`it has no ${key}`);
    return raw[key];
  };
  return {
    name: String(part('name')),
    png: base64(String(part('png'))),
    pixelsSha256: String(part('pixels_sha256')),
    inputSha256: String(part('input_sha256')),
    reference: proportions(part('reference')),
    own: proportions(part('own')),
  };
}

function proportions(value: unknown): readonly number[] {
  if (!Array.isArray(value) || !value.every((p) => typeof p === 'number')) {
    throw damagedProbe('a rating histogram is a list of numbers');
  }
  try {
    asDistribution(value);
  } catch (error) {
    throw damagedProbe(error instanceof Error ? error.message : String(error));
  }
  return value;
}

function base64(encoded: string): Uint8Array {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(encoded)) throw damagedProbe('Only base64 data is allowed');
  if (encoded.length % 4 !== 0) throw damagedProbe('Incorrect padding');
  return Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0));
}

function damagedProbe(what: string): ModelRejected {
  return new ModelRejected(`a golden probe of the card is damaged: ${what}`);
}

function isObject(value: unknown): value is Facts {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function holds(bytes: Uint8Array, wanted: Uint8Array): boolean {
  const [first = 0] = wanted;
  for (let at = bytes.indexOf(first); at >= 0; at = bytes.indexOf(first, at + 1)) {
    if (wanted.every((byte, i) => bytes[at + i] === byte)) return true;
  }
  return false;
}

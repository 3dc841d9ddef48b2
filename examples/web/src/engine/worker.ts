/** The worker: one model on one backend. Everything that takes time happens here, so that the page never waits. */

import { type Card, describe, readCard } from '../core/card.ts';
import { checkModel } from '../core/check.ts';
import { meanRating, ratingStd } from '../core/distribution.ts';
import { FrameReader } from '../core/frames.ts';
import { label, type ScoreRecord } from '../core/records.ts';
import { readFrame } from './camera_buffer.ts';
import { Photograph } from './decode.ts';
import { KeptFrames } from './kept_frames.ts';
import { openLiteRt, type Runner } from './litert.ts';
import { Proof } from './proof.ts';
import type { Answer, Calls, FrameScore, Kind, OpenedModel, PhotographScore, Question } from './protocol.ts';

const THUMBNAIL = 360;
const TIMED_RUNS = 5;

interface Model {
  readonly runner: Runner;
  readonly card: Card;
  readonly label: string;
  readonly described: string;
  readonly reader: FrameReader;
  readonly input: Uint8Array<ArrayBuffer>;
}

/** Running the model failed: not the photograph's or the camera's fault. */
class Broken extends Error {}

let model: Model | null = null;
let kept = new KeptFrames(0);
let proof: Proof | null = null;

async function open({ backend, model: file, sha256, wasm }: Calls['open']['ask']): Promise<OpenedModel> {
  const card = readCard(file);
  const how = card.preprocessing;
  const runner = await openLiteRt(file, backend, how, wasm);
  const input = new Uint8Array(how.height * how.width * 3);
  const probes = await checkModel(card, decoded, (pixels) => runner.run(pixels));
  const runMs = await timed(runner, input);
  model = { runner, card, label: label(card, sha256), described: describe(how), reader: new FrameReader(how), input };
  return { probes, runMs };
}

/** The probes take the way of every photograph: its decoder is what they prove. */
async function decoded(png: Uint8Array): Promise<{ rgb: Uint8Array; width: number; height: number }> {
  const photograph = await Photograph.open(new Uint8Array(png));
  try {
    return photograph.upright();
  } finally {
    photograph.close();
  }
}

async function timed(runner: Runner, input: Uint8Array): Promise<number> {
  const times: number[] = [];
  for (let i = 0; i < TIMED_RUNS; i++) {
    await runner.run(input);
    times.push(runner.runMs);
  }
  return times.sort((a, b) => a - b)[TIMED_RUNS >> 1]!;
}

async function run(pixels: Uint8Array): Promise<Float64Array> {
  try {
    return await opened().runner.run(pixels);
  } catch (error) {
    throw new Broken(inWords(error));
  }
}

async function frame(given: Calls['frame']['ask']): Promise<FrameScore> {
  const { runner, reader, input, label: by, described } = opened();
  const began = performance.now();
  try {
    const { buffer, source } = await readFrame(given);
    given.close(); // at once: a camera has few frames to lend
    reader.read(buffer, input);
    const distribution = await run(input);
    const elapsedMs = performance.now() - began;
    const [mean, std, plain] = [meanRating(distribution), ratingStd(distribution), [...distribution]];
    const next = proof?.next ?? null;
    if (next !== null) {
      proof?.keep(buffer, record(next, { mean, std, distribution: plain }, by, elapsedMs, null, described));
    }
    return {
      mean,
      std,
      distribution: plain,
      elapsedMs,
      runMs: runner.runMs,
      source,
      best: kept.offer({ buffer, mean, std }, began),
      proof: proof === null ? null : { taken: proof.taken, of: proof.of },
    };
  } finally {
    given.close();
  }
}

async function photograph({ file, name }: Calls['photograph']['ask']): Promise<PhotographScore> {
  const { card, label: by, described } = opened();
  const began = performance.now();
  let picture: Photograph | null = null;
  try {
    picture = await Photograph.open(await contents(file));
    const distribution = await run(picture.input(card.preprocessing));
    const elapsed = performance.now() - began;
    const score = { mean: meanRating(distribution), std: ratingStd(distribution), distribution: [...distribution] };
    // A score without its small picture is still a score.
    const thumbnail = await picture.thumbnail(THUMBNAIL).catch(() => null);
    return { record: record(name, score, by, elapsed, null, described), thumbnail };
  } catch (error) {
    if (error instanceof Broken) throw error;
    return { record: record(name, null, by, performance.now() - began, inWords(error), described), thumbnail: null };
  } finally {
    picture?.close();
  }
}

async function contents(file: Blob): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return new Uint8Array(await file.arrayBuffer());
  } catch (error) {
    throw new Error(`cannot be read: ${inWords(error)}`);
  }
}

function record(
  name: string,
  score: { mean: number; std: number; distribution: number[] } | null,
  by: string,
  elapsed_ms: number,
  error: string | null,
  preprocessing: string,
): ScoreRecord {
  const { mean, std, distribution } = score ?? { mean: null, std: null, distribution: null };
  return { name, mean, std, distribution, model: by, elapsed_ms, error, preprocessing };
}

function opened(): Model {
  if (model === null) throw new Error('no model is open');
  return model;
}

function inWords(error: unknown): string {
  if (error instanceof RangeError) {
    return "does not fit in this browser's memory: make it smaller, or score it with edge-nima score";
  }
  return error instanceof Error ? error.message : String(error);
}

const handlers: { [K in Kind]: (ask: Calls[K]['ask']) => Promise<Calls[K]['answer']> } = {
  open,
  frame,
  photograph,
  session: async ({ above }) => {
    kept = new KeptFrames(above);
    proof = null;
    return null;
  },
  burst: async () => {
    kept.beginBurst();
    return null;
  },
  shot: (which) => kept.shot(which, performance.now()),
  proof: async ({ frames }) => {
    proof = frames > 0 ? new Proof(frames) : null;
    return null;
  },
  proofFile: async () => {
    if (proof === null) throw new Error('no proof was taken');
    const file = proof.file();
    proof = null;
    return file;
  },
};

async function answer<K extends Kind>({ id, kind, ask }: Question<K>): Promise<void> {
  let told: Answer;
  try {
    told = { id, value: await handlers[kind](ask) };
  } catch (error) {
    told = { id, error: inWords(error), broken: error instanceof Broken };
  }
  self.postMessage(told);
}

/** One after the other: they share the model's buffers. */
let last: Promise<void> = Promise.resolve();
self.addEventListener('message', ({ data }: MessageEvent<Question>) => {
  last = last.then(() => answer(data));
});

/** What the page and its worker say to each other: one question, one answer. */

import type { ProbeResult } from '../core/check.ts';
import type { ScoreRecord } from '../core/records.ts';

/** Where the model runs: WebGPU, WebAssembly on several threads, WebAssembly on one. */
export type Backend = 'webgpu' | 'threads' | 'wasm';

/** A model that a backend opened, and what its golden probes gave there. */
export interface OpenedModel {
  readonly probes: readonly ProbeResult[];
  /** Median of a bare run, milliseconds. */
  readonly runMs: number;
}

/** What was said of one camera frame. */
export interface FrameScore {
  readonly mean: number;
  readonly std: number;
  /** Proportions of the ratings 1..10. */
  readonly distribution: readonly number[];
  /** The whole frame: copying, resizing, inference. Milliseconds. */
  readonly elapsedMs: number;
  /** The bare model. Milliseconds. */
  readonly runMs: number;
  /** How the pixels came: "I420", "NV12", "RGBA by canvas", ... */
  readonly source: string;
  /** This is the best frame since the session began. */
  readonly best: boolean;
  /** Frames of a proof kept so far; null when none is being taken. */
  readonly proof: { readonly taken: number; readonly of: number } | null;
}

/** A frame at full resolution, as a JPEG, with its score. */
export interface Shot {
  readonly jpeg: Blob;
  readonly mean: number;
  readonly std: number;
  readonly width: number;
  readonly height: number;
}

/** The frame that was scored last, the best since the session began, of the last ten seconds, of the burst. */
export type Which = 'last' | 'session' | 'recent' | 'burst';

/** One photograph: its record, and a small picture of it when there is one. */
export interface PhotographScore {
  readonly record: ScoreRecord;
  readonly thumbnail: Blob | null;
}

/** Every question with its answer. */
export interface Calls {
  /** `model` is the whole .tflite, `wasm` the address of the folder with LiteRT's WebAssembly. */
  open: {
    ask: { backend: Backend; model: Uint8Array<ArrayBuffer>; sha256: string; wasm: string };
    answer: OpenedModel;
  };
  /** Takes the frame over and closes it. */
  frame: { ask: VideoFrame | ImageBitmap; answer: FrameScore };
  photograph: { ask: { file: Blob; name: string }; answer: PhotographScore };
  /** Begin a session: only frames above `above` are its best. */
  session: { ask: { above: number }; answer: null };
  /** The frames from here on are a burst. */
  burst: { ask: null; answer: null };
  /** A kept frame; null when there is none. The burst's ends it. */
  shot: { ask: Which; answer: Shot | null };
  /** Keep the next frames, lossless, with their records; 0 stops. */
  proof: { ask: { frames: number }; answer: null };
  /** What was kept: PNG files and records.jsonl in one zip. */
  proofFile: { ask: null; answer: Blob };
}

export type Kind = keyof Calls;

export interface Question<K extends Kind = Kind> {
  readonly id: number;
  readonly kind: K;
  readonly ask: Calls[K]['ask'];
}

/** `broken`: running the model failed, so that this backend is not to be asked again. */
export type Answer =
  | { readonly id: number; readonly value: Calls[Kind]['answer'] }
  | { readonly id: number; readonly error: string; readonly broken: boolean };

/** The vectors that Python writes: what pictures, buffers, numbers and cards must come to in every language. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, it } from 'vitest';

import type { CameraBuffer, MATRICES } from '../src/core/frames.ts';
import { parsePreprocessing, type Preprocessing } from '../src/core/preprocessing.ts';

export interface PixelFile {
  file: string;
  sha256: string;
}

interface Sample {
  name: string;
  file: string;
  width: number;
  height: number;
  upright: PixelFile;
  inputs: Record<string, PixelFile>;
}

export interface Picture extends Sample {
  format: 'png' | 'jpeg';
  orientation: number;
}

export interface Buffer extends Sample {
  layout: CameraBuffer['layout'];
  planes: { offset: number; row_stride: number; pixel_stride: number }[];
  matrix: keyof typeof MATRICES | null;
  rotation: CameraBuffer['rotation'];
  mirror: boolean;
  upright_width: number;
  upright_height: number;
}

export interface Refusable {
  file: string;
  /** Words that the refusal holds; "" where it is accepted. */
  refused: string;
}

export interface Tensor {
  preprocessing: Record<string, unknown>;
  shape: number[];
  dtype: 'uint8' | 'int8' | 'float32';
  scale: number;
  zero_point: number;
  pixels: number[];
  values: number[];
}

export interface Vectors {
  format: string;
  format_version: number;
  model: { file: string; label: string; sha256: string };
  limits: { level: number; equal: number; mean: number };
  preprocessings: Record<string, Preprocessing>;
  preprocessings_described: Record<string, string>;
  matrices: Record<string, Record<string, number>>;
  pictures: Picture[];
  buffers: Buffer[];
  distributions: { votes: number[]; distribution: number[]; mean: number; std: number }[];
  outputs: { raw: number[]; distribution: number[] | null }[];
  tensors: Tensor[];
  cards: Refusable[];
  models: Refusable[];
}

const FOLDER = process.env['EDGE_NIMA_VECTORS'];
const NEEDED = 'edge-nima check --export-vectors DIR, then EDGE_NIMA_VECTORS=DIR';

/** Tests that read the vectors; skipped, saying how to make them, where there are none. */
export function describeVectors(name: string, body: (vectors: Vectors) => void): void {
  describe(name, () => {
    if (FOLDER === undefined) it('reads the vectors', ({ skip }) => skip(NEEDED));
    else body(read(join(FOLDER, 'vectors.json')));
  });
}

function read(file: string): Vectors {
  const vectors = JSON.parse(readFileSync(file, 'utf8')) as Vectors;
  const preprocessings = Object.entries(vectors.preprocessings).map(([name, raw]) => [
    name,
    parsePreprocessing(raw as unknown as Record<string, unknown>),
  ]);
  return { ...vectors, preprocessings: Object.fromEntries(preprocessings) as Vectors['preprocessings'] };
}

export function readVector(file: string): Uint8Array {
  return new Uint8Array(readFileSync(join(FOLDER ?? '', file)));
}

/** Pixels of a file, held against the sum that names them. */
export function readPixels({ file, sha256 }: PixelFile, width: number, height: number): Uint8Array {
  const pixels = readVector(file);
  const sum = createHash('sha256').update(`${height},${width},3:`).update(pixels).digest('hex');
  if (sum !== sha256) throw new Error(`${file} is not what vectors.json says of it: export the vectors again`);
  return pixels;
}

/** How far pixels are from the right ones. */
export class Differences {
  values = 0;
  unequal = 0;
  largest = 0;

  add(given: Uint8Array, right: Uint8Array): this {
    if (given.length !== right.length) throw new Error(`${given.length} bytes where ${right.length} are right`);
    this.values += right.length;
    for (let i = 0; i < right.length; i++) {
      const gap = Math.abs(given[i]! - right[i]!);
      if (gap > 0) this.unequal++;
      this.largest = Math.max(this.largest, gap);
    }
    return this;
  }

  get equal(): number {
    return 1 - this.unequal / this.values;
  }

  toString(): string {
    const equal = `${(this.equal * 100).toFixed(4)} %`;
    return `${this.values} levels, largest difference ${this.largest}, exactly equal ${equal}`;
  }
}

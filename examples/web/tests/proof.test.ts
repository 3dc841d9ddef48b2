import { decode } from 'fast-png';
import { unzipSync } from 'fflate';
import { expect, it } from 'vitest';

import { type CameraBuffer, upright } from '../src/core/frames.ts';
import type { ScoreRecord } from '../src/core/records.ts';
import { Proof } from '../src/engine/proof.ts';

const DISTRIBUTION = Array.from({ length: 10 }, () => 0.1);

function buffer(seed: number): CameraBuffer {
  const data = Uint8Array.from({ length: 5 * 3 * 4 }, (_, i) => (i * 37 + seed * 11) & 255);
  const planes = [{ offset: 0, rowStride: 20, pixelStride: 4 }];
  return { data, layout: 'RGBA_8888', width: 5, height: 3, planes, matrix: null, rotation: 90, mirror: true };
}

function record(name: string): ScoreRecord {
  return {
    name,
    mean: 5.5,
    std: 2.9,
    distribution: DISTRIBUTION,
    model: 'a@12345678',
    elapsed_ms: 1,
    error: null,
    preprocessing: 'x',
  };
}

it('holds exactly the upright pixels that were scored, a record for each, as many as asked for', async () => {
  const proof = new Proof(2);
  for (let i = 0; proof.next !== null; i++) proof.keep(buffer(i), record(proof.next));
  expect(proof.taken).toBe(2);
  const files = unzipSync(new Uint8Array(await proof.file().arrayBuffer()));
  expect(Object.keys(files).sort()).toEqual(['frame-01.png', 'frame-02.png', 'records.jsonl']);
  for (const [i, name] of ['frame-01.png', 'frame-02.png'].entries()) {
    const { data, width, height, channels } = decode(files[name]!);
    const wanted = upright(buffer(i));
    expect([width, height, channels]).toEqual([3, 5, 3]);
    expect([...data]).toEqual([...wanted.rgb]);
  }
  const lines = new TextDecoder()
    .decode(files['records.jsonl'])
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as { name: string; size: number });
  expect(lines.map(({ name, size }) => [name, size])).toEqual([
    ['frame-01.png', files['frame-01.png']!.length],
    ['frame-02.png', files['frame-02.png']!.length],
  ]);
});

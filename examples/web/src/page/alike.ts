/** Near-duplicates by the rule of edge_nima/similarity.py and selection.py, from small pictures. */

const SIDE = 32;
const SAMPLES = 4 * SIDE;
/** Hashes that differ by at most so many of 64 bits show the same. */
const LIKENESS = 6;

/** 64 bits, the upper 32 first. */
export type Hash = readonly [number, number];

/** Hash of a picture file that the browser decodes. */
export async function hashOf(picture: Blob): Promise<Hash> {
  const bitmap = await createImageBitmap(picture);
  const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d', { willReadFrequently: true })!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return perceptualHash(context.getImageData(0, 0, context.canvas.width, context.canvas.height));
}

/** 64 bits that are nearly the same for pictures that look the same (pHash: signs of low frequencies). */
export function perceptualHash({ data, width, height }: Omit<ImageData, 'colorSpace'>): Hash {
  const grey = new Float64Array(SIDE * SIDE);
  const spread = (place: number, length: number): number => Math.floor(((2 * place + 1) * length) / (2 * SAMPLES));
  for (let y = 0; y < SAMPLES; y++) {
    for (let x = 0; x < SAMPLES; x++) {
      const colour = (y & 1) + 1 - (x & 1); // one a pixel, green twice, as in a camera's sensor
      const level = data[(spread(y, height) * width + spread(x, width)) * 4 + colour]!;
      grey[(y >> 2) * SIDE + (x >> 2)]! += level;
    }
  }
  // The lowest 8 x 8 frequencies of the DCT (type II).
  const wave = (frequency: number, place: number): number => Math.cos((Math.PI / SIDE) * frequency * (place + 0.5));
  const sum = (count: number, term: (i: number) => number): number => {
    let total = 0;
    for (let i = 0; i < count; i++) total += term(i);
    return total;
  };
  const columns = Float64Array.from({ length: 8 * SIDE }, (_, i) =>
    sum(SIDE, (y) => wave(i >> 5, y) * grey[y * SIDE + (i & 31)]!),
  );
  const waves = Float64Array.from({ length: 64 }, (_, i) =>
    sum(SIDE, (x) => columns[(i >> 3) * SIDE + x]! * wave(i & 7, x)),
  );
  const median = waves.slice(1).sort()[31]!;
  const bits = (from: number): number =>
    waves.slice(from, from + 32).reduce((made, level) => ((made << 1) | Number(level > median)) >>> 0, 0);
  return [bits(0), bits(32)];
}

/** In how many bits two hashes differ, 0..64. */
export function hamming(a: Hash, b: Hash): number {
  return ones(a[0] ^ b[0]) + ones(a[1] ^ b[1]);
}

function ones(bits: number): number {
  let n = bits - ((bits >>> 1) & 0x55555555);
  n = (n & 0x33333333) + ((n >>> 2) & 0x33333333);
  return (((n + (n >>> 4)) & 0x0f0f0f0f) * 0x01010101) >>> 24;
}

/**
 * Every photograph under the best one that looks like it.
 *
 * @param ranked best first.
 * @returns stacks in the order of their first ones.
 */
export function stacks<T extends { readonly hash: Hash | null }>(ranked: readonly T[]): [T, ...T[]][] {
  const made: [T, ...T[]][] = [];
  for (const one of ranked) {
    const { hash } = one;
    const under = hash && made.find(([head]) => head.hash !== null && hamming(head.hash, hash) <= LIKENESS);
    if (under) under.push(one);
    else made.push([one]);
  }
  return made;
}

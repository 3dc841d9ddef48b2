/**
 * What src/core/kernels.ts does, in AssemblyScript with vectors of 128 bits: the same integers, to the bit.
 *
 * Addresses are bytes of the exported memory. Vectors are loaded and stored whole, so that up to 16 bytes behind the
 * end of a row are read, and overwritten. A weight lies in memory as two numbers of 16 bits, `LOW_BITS` low ones and
 * the rest: their products with the levels of two pixels are added in one instruction.
 */

const PRECISION_BITS: i32 = 22;
const LOW_BITS: i32 = 12;
const HALF: i32 = 1 << (PRECISION_BITS - 1);

/** Pixels of `stride` bytes, red first, to pixels of 3. */
export function rgb(from: usize, stride: i32, to: usize, count: i32): void {
  let i = 0;
  if (stride == 4) {
    const packed = i8x16(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
    for (; i + 4 <= count; i += 4) {
      v128.store(to, i8x16.swizzle(v128.load(from), packed));
      from += 16;
      to += 12;
    }
  }
  for (; i < count; i++) {
    store<u8>(to, load<u8>(from));
    store<u8>(to, load<u8>(from, 1), 1);
    store<u8>(to, load<u8>(from, 2), 2);
    from += stride;
    to += 3;
  }
}

/** A row in YUV to RGB. Each U and V belongs to two pixels; from `yFactor` on the arguments are the matrix. */
export function yuv(
  y: usize,
  u: usize,
  v: usize,
  yStride: i32,
  uStride: i32,
  vStride: i32,
  to: usize,
  count: i32,
  yFactor: i32,
  yZero: i32,
  rv: i32,
  gu: i32,
  gv: i32,
  bu: i32,
): void {
  let i = 0;
  if (yStride == 1 && uStride == vStride && (uStride == 1 || uStride == 2)) {
    for (; i + 16 <= count; i += 16) {
      const luma = v128.load(y);
      const chromaU = chroma(u, uStride);
      const chromaV = chroma(v, uStride);
      const uLow = i32x4.extend_low_i16x8_s(chromaU);
      const vLow = i32x4.extend_low_i16x8_s(chromaV);
      const uHigh = i32x4.extend_high_i16x8_s(chromaU);
      const vHigh = i32x4.extend_high_i16x8_s(chromaV);
      const lumaLow = i16x8.extend_low_i8x16_u(luma);
      const lumaHigh = i16x8.extend_high_i8x16_u(luma);
      const first = level(i32x4.extend_low_i16x8_u(lumaLow), yFactor, yZero);
      const second = level(i32x4.extend_high_i16x8_u(lumaLow), yFactor, yZero);
      const third = level(i32x4.extend_low_i16x8_u(lumaHigh), yFactor, yZero);
      const fourth = level(i32x4.extend_high_i16x8_u(lumaHigh), yFactor, yZero);
      const red = sum(first, second, third, fourth, times(vLow, rv), times(vHigh, rv));
      const green = sum(
        first,
        second,
        third,
        fourth,
        i32x4.add(times(uLow, gu), times(vLow, gv)),
        i32x4.add(times(uHigh, gu), times(vHigh, gv)),
      );
      const blue = sum(first, second, third, fourth, times(uLow, bu), times(uHigh, bu));
      interleave(to, red, green, blue);
      y += 16;
      u += 8 * uStride;
      v += 8 * uStride;
      to += 48;
    }
  }
  for (; i < count; i++) {
    const grey = yFactor * (<i32>load<u8>(y) - yZero) + 32768;
    const cb = <i32>load<u8>(u) - 128;
    const cr = <i32>load<u8>(v) - 128;
    store<u8>(to, clamped((grey + rv * cr) >> 16));
    store<u8>(to, clamped((grey + gu * cb + gv * cr) >> 16), 1);
    store<u8>(to, clamped((grey + bu * cb) >> 16), 2);
    y += yStride;
    if (i & 1) {
      u += uStride;
      v += vStride;
    }
    to += 3;
  }
}

/** Eight samples less 128, 16 bits each. */
// @ts-ignore: decorator
@inline
function chroma(at: usize, stride: i32): v128 {
  const samples =
    stride == 1
      ? i16x8.extend_low_i8x16_u(v128.load64_zero(at))
      : v128.and(v128.load(at), i16x8.splat(255));
  return i16x8.sub(samples, i16x8.splat(128));
}

// @ts-ignore: decorator
@inline
function level(luma: v128, yFactor: i32, yZero: i32): v128 {
  return i32x4.add(i32x4.mul(luma, i32x4.splat(yFactor)), i32x4.splat(32768 - yFactor * yZero));
}

// @ts-ignore: decorator
@inline
function times(chroma: v128, factor: i32): v128 {
  return i32x4.mul(chroma, i32x4.splat(factor));
}

/** Sixteen levels 0..255 of one colour: luma, and for each two pixels the same share of the chroma. */
// @ts-ignore: decorator
@inline
function sum(first: v128, second: v128, third: v128, fourth: v128, low: v128, high: v128): v128 {
  return i8x16.narrow_i16x8_u(
    i16x8.narrow_i32x4_s(
      i32x4.shr_s(i32x4.add(first, v128.shuffle<i32>(low, low, 0, 0, 1, 1)), 16),
      i32x4.shr_s(i32x4.add(second, v128.shuffle<i32>(low, low, 2, 2, 3, 3)), 16),
    ),
    i16x8.narrow_i32x4_s(
      i32x4.shr_s(i32x4.add(third, v128.shuffle<i32>(high, high, 0, 0, 1, 1)), 16),
      i32x4.shr_s(i32x4.add(fourth, v128.shuffle<i32>(high, high, 2, 2, 3, 3)), 16),
    ),
  );
}

/** Sixteen pixels of three bytes. */
// @ts-ignore: decorator
@inline
function interleave(to: usize, red: v128, green: v128, blue: v128): void {
  const r0 = i8x16(0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1, 5);
  const g0 = i8x16(-1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1, -1);
  const b0 = i8x16(-1, -1, 0, -1, -1, 1, -1, -1, 2, -1, -1, 3, -1, -1, 4, -1);
  const r1 = i8x16(-1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10, -1);
  const g1 = i8x16(5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1, 10);
  const b1 = i8x16(-1, 5, -1, -1, 6, -1, -1, 7, -1, -1, 8, -1, -1, 9, -1, -1);
  const r2 = i8x16(-1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1, -1);
  const g2 = i8x16(-1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15, -1);
  const b2 = i8x16(10, -1, -1, 11, -1, -1, 12, -1, -1, 13, -1, -1, 14, -1, -1, 15);
  v128.store(to, v128.or(v128.or(i8x16.swizzle(red, r0), i8x16.swizzle(green, g0)), i8x16.swizzle(blue, b0)));
  v128.store(to, v128.or(v128.or(i8x16.swizzle(red, r1), i8x16.swizzle(green, g1)), i8x16.swizzle(blue, b1)), 16);
  v128.store(to, v128.or(v128.or(i8x16.swizzle(red, r2), i8x16.swizzle(green, g2)), i8x16.swizzle(blue, b2)), 32);
}

// @ts-ignore: decorator
@inline
function clamped(value: i32): u8 {
  return <u8>min(max(value, 0), 255);
}

/** Pixels of a row, each the weighted sum of `taps` (a multiple of 4) pixels, from the offset on that is its own. */
export function across(offsets: usize, weights: usize, outputs: i32, taps: i32, from: usize, to: usize): void {
  const firstTwo = i8x16(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
  const lastTwo = i8x16(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
  for (let x = 0; x < outputs; x++) {
    let at = from + load<i32>(offsets);
    let low = i32x4.splat(0);
    let high = i32x4.splat(0);
    for (const end = weights + 4 * taps; weights < end; weights += 16) {
      const four = v128.load(at);
      const a = i8x16.swizzle(four, firstTwo);
      const b = i8x16.swizzle(four, lastTwo);
      low = i32x4.add(low, i32x4.dot_i16x8_s(a, v128.load32_splat(weights)));
      high = i32x4.add(high, i32x4.dot_i16x8_s(a, v128.load32_splat(weights, 4)));
      low = i32x4.add(low, i32x4.dot_i16x8_s(b, v128.load32_splat(weights, 8)));
      high = i32x4.add(high, i32x4.dot_i16x8_s(b, v128.load32_splat(weights, 12)));
      at += 12;
    }
    const narrow = i16x8.narrow_i32x4_s(rounded(low, high), low);
    store<i32>(to, i32x4.extract_lane(i8x16.narrow_i16x8_u(narrow, narrow), 0));
    offsets += 4;
    to += 3;
  }
}

/** A row of `bytes` bytes, the weighted sum of 2 * `pairs` rows of a ring, the first of them in `slot`. */
export function down(
  weights: usize,
  pairs: i32,
  ring: usize,
  stride: i32,
  slots: i32,
  slot: i32,
  to: usize,
  bytes: i32,
): void {
  const wrap = ring + slots * stride;
  const start = ring + slot * stride;
  const end = weights + 8 * pairs;
  for (let i = 0; i < bytes; i += 16) {
    let low0 = i32x4.splat(0);
    let low1 = i32x4.splat(0);
    let low2 = i32x4.splat(0);
    let low3 = i32x4.splat(0);
    let high0 = i32x4.splat(0);
    let high1 = i32x4.splat(0);
    let high2 = i32x4.splat(0);
    let high3 = i32x4.splat(0);
    let row = start;
    for (let pair = weights; pair < end; pair += 8) {
      const a = v128.load(row + i);
      row += stride;
      if (row == wrap) row = ring;
      const b = v128.load(row + i);
      row += stride;
      if (row == wrap) row = ring;
      const first = v128.shuffle<u8>(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      const second = v128.shuffle<u8>(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
      const ab0 = i16x8.extend_low_i8x16_u(first);
      const ab1 = i16x8.extend_high_i8x16_u(first);
      const ab2 = i16x8.extend_low_i8x16_u(second);
      const ab3 = i16x8.extend_high_i8x16_u(second);
      const low = v128.load32_splat(pair);
      const high = v128.load32_splat(pair, 4);
      low0 = i32x4.add(low0, i32x4.dot_i16x8_s(ab0, low));
      low1 = i32x4.add(low1, i32x4.dot_i16x8_s(ab1, low));
      low2 = i32x4.add(low2, i32x4.dot_i16x8_s(ab2, low));
      low3 = i32x4.add(low3, i32x4.dot_i16x8_s(ab3, low));
      high0 = i32x4.add(high0, i32x4.dot_i16x8_s(ab0, high));
      high1 = i32x4.add(high1, i32x4.dot_i16x8_s(ab1, high));
      high2 = i32x4.add(high2, i32x4.dot_i16x8_s(ab2, high));
      high3 = i32x4.add(high3, i32x4.dot_i16x8_s(ab3, high));
    }
    v128.store(
      to + i,
      i8x16.narrow_i16x8_u(
        i16x8.narrow_i32x4_s(rounded(low0, high0), rounded(low1, high1)),
        i16x8.narrow_i32x4_s(rounded(low2, high2), rounded(low3, high3)),
      ),
    );
  }
}

// @ts-ignore: decorator
@inline
function rounded(low: v128, high: v128): v128 {
  return i32x4.shr_s(i32x4.add(i32x4.add(low, i32x4.shl(high, LOW_BITS)), i32x4.splat(HALF)), PRECISION_BITS);
}

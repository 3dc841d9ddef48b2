/** What this browser offers the scorer. */

import { relaxedSimd, simd } from 'wasm-feature-detect';

import type { Capabilities } from './chooser.ts';

/** Asks the browser; nothing is loaded. */
export async function capabilities(): Promise<Capabilities> {
  const [vectors, relaxed, webgpu] = await Promise.all([simd(), relaxedSimd(), hasAdapter()]);
  return {
    simd: vectors,
    relaxedSimd: relaxed,
    isolated: crossOriginIsolated,
    cores: navigator.hardwareConcurrency,
    webgpu,
  };
}

/** Many browsers have WebGPU and no GPU that it works with. */
async function hasAdapter(): Promise<boolean> {
  try {
    return 'gpu' in navigator && (await navigator.gpu.requestAdapter()) !== null;
  } catch {
    return false; // a browser that refuses to be asked has none for us
  }
}

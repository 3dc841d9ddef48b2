/** Which of LiteRT's files a backend loads: those are kept for use without a network. */

import type { Capabilities } from '../engine/chooser.ts';
import type { Backend } from '../engine/protocol.ts';

/** Paths below the page. */
export function wasmFiles(backend: Backend, { relaxedSimd }: Capabilities): string[] {
  const variant = !relaxedSimd ? '_compat' : backend === 'threads' ? '_threaded' : '';
  return ['js', 'wasm'].map((ending) => `wasm/${__LITERT_VERSION__}/litert_wasm${variant}_internal.${ending}`);
}

/** A compressed copy beside each large file, for servers that hand one out: WebAssembly shrinks to a quarter. */

import { readFileSync, writeFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

import type { Plugin } from 'vite';

import { filesBelow } from './files_below.ts';

const KINDS = new Set(['.js', '.css', '.html', '.wasm']);
const LEAST = 10_000;
const QUALITY = 9;

/** Writes FILE.br for every FILE of these kinds that is worth it. */
export function brotli(folder: string): Plugin {
  return {
    name: 'edge-nima-brotli',
    apply: 'build',
    closeBundle: {
      sequential: true,
      handler() {
        for (const path of filesBelow(folder)) {
          const content = readFileSync(join(folder, path));
          if (!KINDS.has(extname(path)) || content.length <= LEAST) continue;
          const params = {
            [constants.BROTLI_PARAM_QUALITY]: QUALITY,
            [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
          };
          writeFileSync(join(folder, `${path}.br`), brotliCompressSync(content, { params }));
        }
      },
    },
  };
}

/** LiteRT's WebAssembly and the bundled models, put beside the page as they are. */

import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Plugin } from 'vite';

import { readCard } from '../src/core/card.ts';

/** The JSPI build is not among them: WebGPU takes both bundled models whole. */
const VARIANTS = ['', '_compat', '_threaded'];

/** Version of the installed @litertjs/core. */
export function litertVersion(root: string): string {
  const about = JSON.parse(readFileSync(join(root, 'node_modules/@litertjs/core/package.json'), 'utf8')) as {
    version: string;
  };
  return about.version;
}

/**
 * Copies `wasm/VERSION/*` and `models/*`, and lists the models in models/index.json: the first is the default.
 *
 * @param models folder and names of the .tflite files.
 */
export function litert(root: string, models: { folder: string; names: readonly string[] }): Plugin {
  return {
    name: 'edge-nima-litert',
    apply: 'build',
    generateBundle() {
      const version = litertVersion(root);
      for (const file of VARIANTS.flatMap((it) => [`litert_wasm${it}_internal.js`, `litert_wasm${it}_internal.wasm`])) {
        const source = readFileSync(join(root, 'node_modules/@litertjs/core/wasm', file));
        this.emitFile({ type: 'asset', fileName: `wasm/${version}/${file}`, source });
      }
      const list = models.names.map((name) => {
        const source = readFileSync(join(models.folder, name));
        const { name: called, recipe } = readCard(source);
        const sha256 = createHash('sha256').update(source).digest('hex');
        this.emitFile({ type: 'asset', fileName: `models/${name}`, source });
        return { file: `models/${name}`, name: called, recipe, size: source.length, sha256 };
      });
      const source = JSON.stringify({ models: list, default: list[0]?.name }, null, 1);
      this.emitFile({ type: 'asset', fileName: 'models/index.json', source });
    },
  };
}

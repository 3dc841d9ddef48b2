/** What is made of the built page's files once all are written: the service worker's list, and compressed copies. */

import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { brotliCompressSync, constants } from 'node:zlib';

import type { Plugin } from 'vite';

const COMPRESSED = new Set(['.js', '.css', '.html', '.wasm']);
const LEAST = 10_000;
const QUALITY = { [constants.BROTLI_PARAM_QUALITY]: 9 };

/** Writes the list of files with their hashes into sw.js, then FILE.br beside each large FILE that shrinks. */
export function written(folder: string): Plugin {
  return {
    name: 'edge-nima-written',
    apply: 'build',
    closeBundle: {
      sequential: true,
      handler() {
        const files: Record<string, string> = {};
        const paths = filesBelow(folder);
        for (const path of paths) if (path !== 'sw.js') files[path] = hash(readFileSync(join(folder, path)));
        const worker = join(folder, 'sw.js');
        const code = readFileSync(worker, 'utf8');
        files['sw'] = hash(JSON.stringify(files) + code);
        const filled = code.replace(/(["'`])edge-nima:files\1/, `'${JSON.stringify(files)}'`);
        if (filled === code) throw new Error('sw.js has no place for the list of files');
        writeFileSync(worker, filled);
        for (const path of paths.filter((it) => COMPRESSED.has(extname(it)))) {
          const content = readFileSync(join(folder, path));
          if (content.length <= LEAST) continue;
          writeFileSync(join(folder, `${path}.br`), brotliCompressSync(content, { params: QUALITY }));
        }
      },
    },
  };
}

/** Paths of all files below a folder, with "/", sorted. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
}

function hash(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 12);
}

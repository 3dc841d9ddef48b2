/** The list of files, with their hashes, that the service worker serves from its cache. */

import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Plugin } from 'vite';

import { filesBelow } from './files_below.ts';

/** Writes the list into sw.js when everything else is in place. */
export function precache(folder: string): Plugin {
  return {
    name: 'edge-nima-precache',
    apply: 'build',
    closeBundle: {
      sequential: true,
      handler() {
        const files: Record<string, string> = {};
        for (const path of filesBelow(folder)) {
          if (path !== 'sw.js') files[path] = hash(readFileSync(join(folder, path)));
        }
        const worker = join(folder, 'sw.js');
        const code = readFileSync(worker, 'utf8');
        files['sw'] = hash(JSON.stringify(files) + code);
        const filled = code.replace(/(["'`])edge-nima:files\1/, `'${JSON.stringify(files)}'`);
        if (filled === code) throw new Error('sw.js has no place for the list of files');
        writeFileSync(worker, filled);
      },
    },
  };
}

function hash(content: string | Buffer): string {
  return createHash('sha256').update(content).digest('hex').slice(0, 12);
}

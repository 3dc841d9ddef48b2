/** The licences of everything that is bundled into the page, beside it as licences.txt. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Plugin } from 'vite';

interface Locked {
  readonly version: string;
  readonly license?: string;
  readonly dev?: boolean;
  readonly optional?: boolean;
}

/** Of all packages that the lock file has for running and not only for building; the worker's too, which Vite's own list lacks. */
export function licences(root: string): Plugin {
  return {
    name: 'edge-nima-licences',
    apply: 'build',
    generateBundle() {
      const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as {
        packages: Record<string, Locked>;
      };
      const shipped = Object.entries(packages).filter(
        ([path, { dev, optional }]) => path !== '' && dev !== true && optional !== true,
      );
      const parts = shipped.map(([path, { version, license }]) => {
        const name = path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length);
        return `${name} ${version} (${license ?? 'no licence named'})\n\n${text(join(root, path))}`;
      });
      const rule = `\n${'-'.repeat(72)}\n\n`;
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source: parts.join(rule) });
    },
  };
}

/** What the package says itself; Apache-2.0 alone needs no more than its name. */
function text(folder: string): string {
  const file = existsSync(folder) ? readdirSync(folder).find((it) => /^licen[cs]e(\.\w+)?$/i.test(it)) : undefined;
  if (file !== undefined) return `${readFileSync(join(folder, file), 'utf8').trim()}\n`;
  return 'http://www.apache.org/licenses/LICENSE-2.0 applies, where it says Apache-2.0.\n';
}

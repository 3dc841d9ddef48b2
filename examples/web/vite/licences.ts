/** The licences of everything that is bundled, as licences.txt. Vite's `build.license` leaves out what workers import. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import type { Plugin } from 'vite';

/** For packages that hold no copy. */
const APACHE = 'http://www.apache.org/licenses/LICENSE-2.0 applies, where it says Apache-2.0.';

type Lock = { packages: Record<string, { version: string; license: string; dev?: true; optional?: true }> };

/** Of all packages that the lock file has for running and not only for building. */
export function licences(root: string): Plugin {
  return {
    name: 'edge-nima-licences',
    apply: 'build',
    generateBundle() {
      const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as Lock;
      const parts = Object.entries(packages)
        .filter(([path, { dev, optional }]) => path !== '' && dev !== true && optional !== true)
        .map(([path, { version, license }]) => {
          const file = readdirSync(join(root, path)).find((it) => /^licen[cs]e(\.\w+)?$/i.test(it));
          const text = file === undefined ? APACHE : readFileSync(join(root, path, file), 'utf8').trim();
          return `${path.split('node_modules/').at(-1)} ${version} (${license})\n\n${text}\n`;
        });
      this.emitFile({ type: 'asset', fileName: 'licences.txt', source: parts.join(`\n${'-'.repeat(72)}\n\n`) });
    },
  };
}

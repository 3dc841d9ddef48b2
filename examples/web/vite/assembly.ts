/** AssemblyScript, compiled when it is imported as `FILE.ts?assembly`: the bytes of a WebAssembly module. */

import { readFile } from 'node:fs/promises';

import asc from 'assemblyscript/asc';
import type { Plugin } from 'vite';

const QUERY = '?assembly';
/** No runtime is linked in: what is compiled works on addresses alone. */
const OPTIONS = ['-O3', '--runtime', 'stub', '--noAssert', '--enable', 'simd', '--use', 'abort='];

const compiled = new Map<string, Promise<string>>();

/** The module becomes part of the script that imports it: two kilobytes, and nothing to be fetched, which can fail. */
export function assembly(): Plugin {
  return {
    name: 'edge-nima-assembly',
    enforce: 'pre',
    async load(id) {
      if (!id.endsWith(QUERY)) return null;
      const file = id.slice(0, -QUERY.length);
      this.addWatchFile(file);
      const source = await readFile(file, 'utf8');
      const made = compiled.get(source) ?? compile(source);
      compiled.set(source, made);
      return `export default Uint8Array.from(atob('${await made}'), (c) => c.charCodeAt(0));`;
    },
  };
}

async function compile(source: string): Promise<string> {
  let made: Uint8Array | string | null = null;
  const { error, stderr } = await asc.main(['module.ts', '--outFile', 'module.wasm', ...OPTIONS], {
    readFile: (name) => (name === 'module.ts' ? source : null),
    writeFile: (_, contents) => void (made = contents),
    listFiles: () => [],
  });
  if (error !== null || made === null) throw new Error(`AssemblyScript: ${stderr.toString()}`);
  return Buffer.from(made).toString('base64');
}

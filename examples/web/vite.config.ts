import { fileURLToPath } from 'node:url';

import { defineConfig } from 'vitest/config';

import { assembly } from './vite/assembly.ts';
import { licences } from './vite/licences.ts';
import { litert, litertVersion } from './vite/litert.ts';
import { policy } from './vite/policy.ts';
import { written } from './vite/written.ts';

const path = (to: string): string => fileURLToPath(new URL(to, import.meta.url));
const root = path('.');
const page = path('../../edge_nima/phone/page');
const models = {
  folder: path('../../edge_nima/models'),
  names: ['mobilenet-ava-int8-mixed.tflite', 'mobilenet-ava-float16.tflite'],
};

export default defineConfig({
  base: './', // the page works below any path
  define: { __LITERT_VERSION__: JSON.stringify(litertVersion(root)) },
  // LiteRT loads its WebAssembly with importScripts, which module workers lack.
  worker: { format: 'iife', plugins: () => [assembly()] },
  build: {
    target: 'es2022',
    outDir: page,
    emptyOutDir: true,
    assetsInlineLimit: 0, // the content security policy allows no data: addresses
    modulePreload: { polyfill: false },
    rolldownOptions: {
      input: { index: path('index.html'), sw: path('src/page/sw.ts') },
      output: { entryFileNames: ({ name }) => (name === 'sw' ? 'sw.js' : 'assets/[name]-[hash].js') },
    },
  },
  plugins: [assembly(), policy(), litert(root, models), licences(root), written(page)],
  // However long where others work too: a picture of 24 megapixels takes seconds.
  test: { environment: 'node', include: ['tests/**/*.test.ts'], testTimeout: 60_000 },
});

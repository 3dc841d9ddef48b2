/** The content security policy, in the page itself: it holds on hosts that set no headers. */

import type { Plugin } from 'vite';

const POLICY = [
  "default-src 'none'",
  // WebAssembly is compiled, no text is ever run as a script.
  "script-src 'self' 'wasm-unsafe-eval'",
  "worker-src 'self'",
  "connect-src 'self'",
  "style-src 'self'",
  "img-src 'self' blob:",
  "media-src 'self' blob:",
  "manifest-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
].join('; ');

/** Adds it to the built page only: Vite's own scripts need more. */
export function policy(): Plugin {
  return {
    name: 'edge-nima-policy',
    apply: 'build',
    transformIndexHtml: () => [
      { tag: 'meta', attrs: { 'http-equiv': 'Content-Security-Policy', content: POLICY }, injectTo: 'head-prepend' },
    ],
  };
}

/**
 * The service worker: the page without a network, one version at a time, and isolated wherever it is hosted.
 *
 * The build writes every file with its hash into FILES. A version has a cache of its own, filled before it takes over,
 * so that no page is ever put together from two versions. The WebAssembly and the models are large: those that were
 * used are kept, and go over from version to version as long as their hash is the same.
 */

const worker = self as unknown as ServiceWorkerGlobalScope;

const FILES = JSON.parse('edge-nima:files') as Record<string, string>;
const VERSION = FILES['sw'] ?? '';
const PREFIX = `edge-nima ${worker.registration.scope} `;
const CACHE = PREFIX + VERSION;

/** Which models there are is the server's word of today, as long as there is a server. */
const LISTED = 'models/index.json';

/** Kept when it is first used, and not before: 10 MB each. */
const large = (path: string): boolean => path !== LISTED && (path.startsWith('wasm/') || path.startsWith('models/'));

/** A model that the build does not know has a part of its hash in its name. */
const key = (path: string): string => new URL(`${path}?${FILES[path] ?? ''}`, worker.registration.scope).href;

worker.addEventListener('install', (event) => event.waitUntil(install()));
worker.addEventListener('activate', (event) => event.waitUntil(activate()));
worker.addEventListener('fetch', (event) => {
  const path = pathOf(event.request);
  if (path !== null) event.respondWith(answer(path, event.request));
});
worker.addEventListener('message', (event) => {
  if (event.data === 'use') void worker.skipWaiting();
  else if (Array.isArray(event.data)) event.waitUntil(keep(event.data as string[], event.source));
});

async function install(): Promise<void> {
  const cache = await caches.open(CACHE);
  for (const path of Object.keys(FILES)) {
    if (path === 'sw') continue;
    const held = await caches.match(key(path));
    if (held !== undefined) await cache.put(key(path), held);
    else if (!large(path) || (await usedBefore(path))) await fill(cache, path);
  }
}

/** Whether an earlier version kept this file, with other contents. */
async function usedBefore(path: string): Promise<boolean> {
  const plain = new URL(path, worker.registration.scope).href;
  return (await caches.match(plain, { ignoreSearch: true })) !== undefined;
}

async function fill(cache: Cache, path: string): Promise<void> {
  const fetched = await fetch(new URL(path, worker.registration.scope), { cache: 'no-cache' });
  if (!fetched.ok) throw new Error(`${path}: the server says ${fetched.status}`);
  await cache.put(key(path), fetched);
}

async function activate(): Promise<void> {
  const names = await caches.keys();
  await Promise.all(
    names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)),
  );
  await worker.clients.claim();
}

/** The file of this version that is asked for; null when it is none of its business. */
function pathOf(request: Request): string | null {
  const { scope } = worker.registration;
  const address = request.url.split(/[?#]/)[0]!;
  if (request.method !== 'GET' || !address.startsWith(scope)) return null;
  const path = address.slice(scope.length) || 'index.html';
  return path in FILES || /^models\/[^/]+\.tflite$/.test(path) ? path : null;
}

async function answer(path: string, request: Request): Promise<Response> {
  const cache = await caches.open(CACHE);
  const held = await cache.match(key(path));
  if (held !== undefined && path !== LISTED) return isolated(held);
  const fetched = await fetch(request).catch((error: unknown) => {
    if (held === undefined) throw error;
    return held;
  });
  // The rest of the response goes on to the page while the copy is written; a full disk costs the copy only.
  if (fetched !== held && fetched.status === 200) void cache.put(key(path), fetched.clone()).catch(() => undefined);
  return isolated(fetched);
}

/** Threads need shared memory, which browsers give only to pages with these headers; few static hosts can set them. */
function isolated(response: Response): Response {
  if (response.status === 0 || response.type === 'opaqueredirect') return response;
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  headers.set('Cross-Origin-Resource-Policy', 'same-origin');
  headers.delete('Content-Encoding'); // the body is no longer compressed
  headers.delete('Content-Length');
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

/** Make sure that these files are there without a network, and say whether they are. */
async function keep(paths: string[], source: Client | ServiceWorker | MessagePort | null): Promise<void> {
  let problem = '';
  try {
    const cache = await caches.open(CACHE);
    for (const path of paths) if ((await cache.match(key(path))) === undefined) await fill(cache, path);
  } catch (error) {
    const full = error instanceof DOMException && error.name === 'QuotaExceededError';
    problem = full ? "this browser's storage is full" : String(error);
  }
  source?.postMessage({ kept: paths, problem });
}

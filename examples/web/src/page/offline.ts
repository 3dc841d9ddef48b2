/** The page without a network, and its isolation: what the service worker does, seen from the page. */

import { at } from './dom.ts';

const RELOADED = 'edge-nima:reloaded';
const PATIENCE = 8000;

/**
 * Start the service worker. Where the server did not isolate the page, wait for it and load the page once more: it then
 * comes with the headers that WebAssembly threads need.
 *
 * @returns why there is none, in words; "" when all is well.
 */
export async function startOffline(): Promise<string> {
  if (!('serviceWorker' in navigator)) return 'this browser has no service workers (private window?)';
  try {
    const registration = await navigator.serviceWorker.register(new URL('sw.js', document.baseURI), {
      updateViaCache: 'none',
    });
    offerUpdate(registration);
  } catch (error) {
    const told = error instanceof Error ? error.message : String(error);
    // Said of a certificate that a person has let pass: enough for the camera, not for a service worker.
    if (/\bssl\b|certificate/i.test(told)) return "this browser does not trust this page's certificate";
    return `the service worker was refused: ${told}`;
  }
  if (!crossOriginIsolated && firstTime()) {
    await Promise.race([controlled(), new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
    if (navigator.serviceWorker.controller !== null) {
      location.reload();
      await new Promise(() => undefined); // the page is going away
    }
  }
  return '';
}

/**
 * Keep these files of the page for when there is no network.
 *
 * @returns what is wrong, in words; "" when they are there.
 */
export async function keepOffline(paths: readonly string[]): Promise<string> {
  if (!('serviceWorker' in navigator)) return 'this browser has no service workers';
  const { active } = await navigator.serviceWorker.ready;
  return new Promise((resolve) => {
    navigator.serviceWorker.addEventListener(
      'message',
      function heard({ data }: MessageEvent<{ kept: string[]; problem: string }>) {
        if (data.kept.join() !== paths.join()) return;
        navigator.serviceWorker.removeEventListener('message', heard);
        resolve(data.problem);
      },
    );
    active?.postMessage(paths);
  });
}

/** Once in a session, so that a browser which never isolates a page is not reloaded for ever. */
function firstTime(): boolean {
  try {
    const before = sessionStorage.getItem(RELOADED) !== null;
    sessionStorage.setItem(RELOADED, 'yes');
    return !before;
  } catch {
    return false; // no storage to remember it in: better without threads than in a circle
  }
}

function controlled(): Promise<void> {
  if (navigator.serviceWorker.controller !== null) return Promise.resolve();
  return new Promise((resolve) =>
    navigator.serviceWorker.addEventListener('controllerchange', () => resolve(), { once: true }),
  );
}

/** A new version waits until it is wanted: nobody's list of photographs is thrown away by a reload. */
function offerUpdate(registration: ServiceWorkerRegistration): void {
  const offer = (): void => {
    if (registration.waiting !== null && navigator.serviceWorker.controller !== null) at('update').hidden = false;
  };
  offer();
  registration.addEventListener('updatefound', () => registration.installing?.addEventListener('statechange', offer));
  at('update-now').addEventListener('click', () => {
    navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), { once: true });
    registration.waiting?.postMessage('use');
  });
}

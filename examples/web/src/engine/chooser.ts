/** Which backend scores: the first that opens in time and answers the golden probes; another only when it is faster. */

import type { ProbeResult } from '../core/check.ts';
import type { Backend, OpenedModel } from './protocol.ts';

/** What the user set: one backend, or whatever is best here. */
export type Setting = Backend | 'auto';

/** What a browser offers. */
export interface Capabilities {
  /** WebAssembly with 128-bit vectors; without, nothing runs. */
  readonly simd: boolean;
  readonly relaxedSimd: boolean;
  /** Shared memory is allowed: the page is cross-origin isolated. */
  readonly isolated: boolean;
  readonly cores: number;
  readonly webgpu: boolean;
}

/** A backend with a model in it. */
export interface Opened extends OpenedModel {
  close(): void;
}

/** Why a backend is not used. */
export interface Refusal {
  readonly backend: Backend;
  readonly why: string;
  /** What its probes gave, when it came that far. */
  readonly probes: readonly ProbeResult[];
}

/** Opens a model on a backend; when the signal aborts, whatever it has begun is ended. */
export type Opener<T extends Opened> = (backend: Backend, signal: AbortSignal) => Promise<T>;

/** No backend may score: each of `refusals` says why. */
export class NoBackend extends Error {
  readonly refusals: readonly Refusal[];

  constructor(refusals: readonly Refusal[]) {
    super(refusals.map(({ backend, why }) => `${backend}: ${why}`).join('; ') || 'this browser offers no backend');
    this.refusals = refusals;
  }
}

/**
 * The backends to try, in order: `first` until one works, which is soon, then `later` beside it.
 *
 * WebAssembly comes first because it opens in a second; WebGPU compiles its shaders for longer than a person waits.
 */
export function plan(can: Capabilities, setting: Setting): { first: Backend[]; later: Backend[] } {
  if (setting !== 'auto') return { first: [setting], later: [] };
  const threads = can.isolated && can.relaxedSimd && can.cores > 1;
  return { first: threads ? ['threads', 'wasm'] : ['wasm'], later: can.webgpu ? ['webgpu'] : [] };
}

/**
 * Open the first backend that works.
 *
 * @param limitMs how long each may take.
 * @param refused told of each that is not used.
 * @throws NoBackend none works.
 */
export async function choose<T extends Opened>(
  backends: readonly Backend[],
  open: Opener<T>,
  limitMs: number,
  refused: (refusal: Refusal) => void,
  signal?: AbortSignal,
): Promise<{ backend: Backend; opened: T }> {
  const refusals: Refusal[] = [];
  for (const backend of backends) {
    const result = await attempt(backend, open, limitMs, signal);
    if (!('why' in result)) return { backend, opened: result };
    signal?.throwIfAborted();
    refusals.push(result);
    refused(result);
  }
  throw new NoBackend(refusals);
}

/**
 * Open one more backend and keep it only when its run is faster than the present one's.
 *
 * @returns what was opened, or null when the present one stays.
 */
export async function faster<T extends Opened>(
  thanMs: number,
  backend: Backend,
  open: Opener<T>,
  limitMs: number,
  refused: (refusal: Refusal) => void,
  signal?: AbortSignal,
): Promise<T | null> {
  const result = await attempt(backend, open, limitMs, signal);
  if (!('why' in result)) {
    if (result.runMs < thanMs) return result;
    result.close();
    refused({
      backend,
      why: `no faster: ${result.runMs.toFixed(1)} ms a run, against ${thanMs.toFixed(1)} ms`,
      probes: result.probes,
    });
  } else if (!signal?.aborted) {
    refused(result);
  }
  return null;
}

async function attempt<T extends Opened>(
  backend: Backend,
  open: Opener<T>,
  limitMs: number,
  outer?: AbortSignal,
): Promise<T | Refusal> {
  const inner = new AbortController();
  const stop = (): void => inner.abort();
  outer?.addEventListener('abort', stop, { once: true });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`did not open within ${limitMs / 1000} s`)), limitMs);
    inner.signal.addEventListener('abort', () => reject(new Error('ended')));
  });
  try {
    const opening = open(backend, inner.signal);
    // One that comes after all, when nobody waits for it any more, is not left running.
    opening.then(
      (it) => inner.signal.aborted && it.close(),
      () => undefined,
    );
    const opened = await Promise.race([opening, late]);
    const wrong = opened.probes.filter((probe) => probe.problem !== null);
    if (opened.probes.length > 0 && wrong.length === 0) return opened;
    opened.close();
    return { backend, why: wrongAnswers(wrong, opened.probes.length), probes: opened.probes };
  } catch (error) {
    inner.abort();
    return { backend, why: error instanceof Error ? error.message : String(error), probes: [] };
  } finally {
    clearTimeout(timer);
    outer?.removeEventListener('abort', stop);
  }
}

function wrongAnswers([first, ...more]: readonly ProbeResult[], of: number): string {
  if (first === undefined) return 'no golden probe was answered';
  return `${1 + more.length} of ${of} golden probes fail, the first is ${first.name}: ${first.problem}`;
}

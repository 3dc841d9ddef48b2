/** A backend at work, seen from the page: a worker that is asked, and given up when it no longer answers. */

import type { Opened } from './chooser.ts';
import type { Answer, Backend, Calls, Kind, Question } from './protocol.ts';

/** How long a question may take, milliseconds: a photograph of 100 megapixels on a slow phone takes longest. */
const LIMITS: Record<Kind, number> = {
  open: 120_000, // the chooser has its own, shorter one
  frame: 15_000,
  photograph: 90_000,
  session: 90_000,
  burst: 90_000,
  shot: 90_000,
  proof: 90_000,
  proofFile: 90_000,
};

const GRACE = 3000;
/** How long a worker that is no longer wanted may finish what it is at. */
const LAST_WORDS = 2000;

/** The backend broke or hangs: another must be used. */
export class BackendLost extends Error {}

interface Waiting {
  resolve(value: Calls[Kind]['answer']): void;
  reject(error: Error): void;
  timer: ReturnType<typeof setTimeout>;
}

/** One worker with one model on one backend. */
export class Engine implements Opened {
  readonly backend: Backend;
  probes: Opened['probes'] = [];
  runMs = Number.NaN;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #count = 0;
  #over: Error | null = null;

  private constructor(backend: Backend) {
    this.backend = backend;
    this.#worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'classic', name: backend });
    this.#worker.addEventListener('message', ({ data }: MessageEvent<Answer>) => this.#answered(data));
    this.#worker.addEventListener('error', (event) => {
      event.preventDefault();
      this.#end(new BackendLost(event.message || "the worker's script could not be loaded"));
    });
  }

  /**
   * Start a worker, open the model in it, run its golden probes.
   *
   * @throws BackendLost, Error with the reason.
   */
  static async open(
    backend: Backend,
    model: Uint8Array<ArrayBuffer>,
    sha256: string,
    wasm: string,
    signal: AbortSignal,
  ): Promise<Engine> {
    const engine = new Engine(backend);
    signal.addEventListener('abort', () => engine.close());
    try {
      const { probes, runMs } = await engine.call('open', { backend, model, sha256, wasm });
      engine.probes = probes;
      engine.runMs = runMs;
      return engine;
    } catch (error) {
      engine.close();
      throw error;
    }
  }

  /**
   * Ask the worker.
   *
   * @throws BackendLost it broke, hangs, or is closed.
   * @throws Error its answer, when it could not do what was asked.
   */
  call<K extends Kind>(kind: K, ask: Calls[K]['ask'], transfer: Transferable[] = []): Promise<Calls[K]['answer']> {
    if (this.#over !== null) return Promise.reject(this.#over);
    const id = this.#count++;
    const question: Question<K> = { id, kind, ask };
    return new Promise<Calls[K]['answer']>((resolve, reject) => {
      const hangs = (): void => this.#end(new BackendLost(`no answer for ${LIMITS[kind] / 1000} s`));
      // A phone that was in a pocket rings all its timers at once: an answer that lies there already is read first.
      const timer = setTimeout(() => (waiting.timer = setTimeout(hangs, GRACE)), LIMITS[kind]);
      const waiting: Waiting = { resolve: resolve as Waiting['resolve'], reject, timer };
      this.#waiting.set(id, waiting);
      this.#worker.postMessage(question, transfer);
    });
  }

  /**
   * Nobody hears from it any more. What it is at is finished first: a camera frame that goes down with its worker is
   * not given back to the camera, and after a few of them the camera stands still.
   */
  close(): void {
    const busy = this.#waiting.size > 0 && !Number.isNaN(this.runMs);
    this.#end(new BackendLost('closed'), busy ? LAST_WORDS : 0);
  }

  #answered(answer: Answer): void {
    const waiting = this.#waiting.get(answer.id);
    if (waiting === undefined) return;
    this.#waiting.delete(answer.id);
    clearTimeout(waiting.timer);
    if ('value' in answer) waiting.resolve(answer.value);
    else if (!answer.broken) waiting.reject(new Error(answer.error));
    else {
      waiting.reject(new BackendLost(answer.error));
      this.#end(new BackendLost(answer.error));
    }
  }

  #end(why: BackendLost, graceMs = 0): void {
    if (this.#over !== null) return;
    this.#over = why;
    if (graceMs === 0) this.#worker.terminate();
    else {
      const timer = setTimeout(() => this.#worker.terminate(), graceMs);
      this.#worker.addEventListener('message', () => {
        clearTimeout(timer);
        this.#worker.terminate();
      });
    }
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(why);
    }
    this.#waiting.clear();
  }
}

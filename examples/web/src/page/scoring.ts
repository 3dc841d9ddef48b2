/** The scorer behind the page: a model, the backend that runs it, and what happens when one of them fails. */

import { type Card, readCard } from '../core/card.ts';
import { ModelRejected } from '../core/errors.ts';
import { capabilities } from '../engine/capabilities.ts';
import { type Capabilities, choose, faster, NoBackend, plan, type Refusal, type Setting } from '../engine/chooser.ts';
import { BackendLost, Engine } from '../engine/engine.ts';
import type { Backend, Calls, Kind } from '../engine/protocol.ts';

/** A model file, and what it is called on this page. */
export interface ModelFile {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

export type State =
  | { readonly is: 'loading'; readonly what: string }
  | { readonly is: 'ready' }
  /** `retry`: the model could not be had, and may be had later. */
  | { readonly is: 'rejected'; readonly why: string; readonly retry: boolean };

const BROKE = 'broke while scoring';
const MOST_BREAKS = 6;
const OPEN_LIMIT = 45_000;
const WEBGPU_LIMIT = 90_000; // the first time it compiles its shaders

/** Holds one model at a time. `changed` is told whenever anything that is public here is another. */
export class Scoring {
  state: State = { is: 'loading', what: 'Starting' };
  card: Card | null = null;
  sha256 = '';
  engine: Engine | null = null;
  /** Backends that are not used, and why. */
  refusals: Refusal[] = [];
  setting: Setting = 'auto';
  can: Capabilities | null = null;
  readonly #changed: () => void;
  readonly #wasm: string;
  #model: ModelFile | null = null;
  #work = new AbortController();
  #busy = 0;
  #breaks = 0;
  #waiting: Engine | null = null;

  constructor(wasm: string, changed: () => void) {
    this.#wasm = wasm;
    this.#changed = changed;
  }

  /** The session's best so far, which a new backend must know of. */
  above = 0;

  /**
   * Use a model: read its card, open it, run its golden probes. Never throws; `state` says how it went.
   */
  async use(model: ModelFile): Promise<void> {
    this.loading('Reading the model');
    const { signal } = this.#work;
    this.#model = model;
    this.#breaks = 0;
    try {
      this.card = readCard(model.bytes);
      this.sha256 = await sha256(model.bytes);
      signal.throwIfAborted();
      await this.#open(signal);
    } catch (error) {
      this.#failed(error, signal);
    }
  }

  /** Force a backend, or choose again. */
  async set(setting: Setting): Promise<void> {
    this.setting = setting;
    if (this.#model === null || this.card === null) return;
    const signal = this.#begin();
    try {
      await this.#open(signal);
    } catch (error) {
      this.#failed(error, signal);
    }
  }

  /** A model is on its way; until it comes nothing is scored. */
  loading(what: string): void {
    this.#begin();
    this.card = null;
    this.#tell({ is: 'loading', what });
  }

  /** There is no model: it could not be had. */
  reject(why: string): void {
    this.#begin();
    this.#tell({ is: 'rejected', why, retry: true });
  }

  /**
   * Ask the backend. When it breaks, another is opened before this throws; whoever wants to, asks again.
   *
   * @throws BackendLost it broke, or is no longer the one in use.
   * @throws Error what was asked could not be done.
   */
  async ask<K extends Kind>(kind: K, ask: Calls[K]['ask'], transfer: Transferable[] = []): Promise<Calls[K]['answer']> {
    const { engine } = this;
    if (engine === null) throw new BackendLost('no model is ready');
    this.#busy++;
    try {
      return await engine.call(kind, ask, transfer);
    } catch (error) {
      if (error instanceof BackendLost && engine === this.engine) await this.#replace(engine, error);
      throw error;
    } finally {
      this.#busy--;
      this.#swap();
    }
  }

  /** Open on the first backend that works; then, beside it, see whether a later one is faster. */
  async #open(signal: AbortSignal, without: readonly Backend[] = []): Promise<void> {
    this.can ??= await capabilities();
    if (!this.can.simd) {
      throw new ModelRejected(
        'This browser has no WebAssembly SIMD, without which no model runs. ' +
          'Update it: Chrome 91, Firefox 89, Safari 16.4 or later.',
      );
    }
    const { first, later } = plan(this.can, this.setting);
    const unbroken = first.filter((backend) => !without.includes(backend));
    // When all of them have broken, each gets another chance: it may have been a photograph that no memory held.
    const usable = unbroken.length > 0 ? unbroken : first;
    this.#tell({ is: 'loading', what: 'Checking the model by its golden probes' });
    const { opened } = await choose(usable, this.#opener, OPEN_LIMIT, this.#refused, signal);
    if (signal.aborted) return opened.close();
    this.engine = opened;
    await opened.call('session', { above: this.above });
    this.#tell({ is: 'ready' });
    for (const backend of later) {
      if (without.includes(backend)) continue;
      const better = await faster(opened.runMs, backend, this.#opener, WEBGPU_LIMIT, this.#refused, signal);
      this.#changed();
      if (better === null) continue;
      if (signal.aborted || this.engine !== opened) return better.close();
      this.#waiting = better;
      this.#swap();
    }
  }

  readonly #opener = (backend: Backend, signal: AbortSignal): Promise<Engine> =>
    Engine.open(backend, this.#model!.bytes, this.sha256, this.#wasm, signal);

  readonly #refused = (refusal: Refusal): void => {
    this.refusals = [...this.refusals.filter(({ backend }) => backend !== refusal.backend), refusal];
    this.#changed();
  };

  /** Between two questions only, and not while a proof is under way: its frames are in the old worker. */
  proving = false;

  #swap(): void {
    const [old, next] = [this.engine, this.#waiting];
    if (next === null || this.#busy > 0 || this.proving) return;
    this.#waiting = null;
    this.engine = next;
    this.#refused({ backend: old!.backend, why: `slower: ${old!.runMs.toFixed(1)} ms a run`, probes: old!.probes });
    void next.call('session', { above: this.above }).catch(() => undefined);
    old!.close();
    this.#changed();
  }

  async #replace(lost: Engine, why: BackendLost): Promise<void> {
    if (++this.#breaks > MOST_BREAKS) {
      this.#begin();
      return this.#tell({ is: 'rejected', why: `Scoring broke ${this.#breaks} times: ${why.message}`, retry: true });
    }
    const broken = this.refusals.filter(({ backend, why: told }) => told.startsWith(BROKE) && backend !== lost.backend);
    broken.push({ backend: lost.backend, why: `${BROKE}: ${why.message}`, probes: lost.probes });
    const signal = this.#begin();
    this.refusals = broken;
    try {
      await this.#open(
        signal,
        broken.map(({ backend }) => backend),
      );
    } catch (error) {
      this.#failed(error, signal);
    }
  }

  #begin(): AbortSignal {
    this.#work.abort();
    this.#work = new AbortController();
    this.engine?.close();
    this.#waiting?.close();
    this.engine = this.#waiting = null;
    this.refusals = [];
    return this.#work.signal;
  }

  #failed(error: unknown, signal: AbortSignal): void {
    if (signal.aborted) return;
    this.#tell({ is: 'rejected', why: inWords(error, this.setting), retry: false });
  }

  #tell(state: State): void {
    this.state = state;
    this.#changed();
  }
}

function inWords(error: unknown, setting: Setting): string {
  if (error instanceof NoBackend) {
    const reasons = [...new Set(error.refusals.map(({ why }) => why))];
    const told = reasons.map((reason) => {
      const where = error.refusals.filter(({ why }) => why === reason).map(({ backend }) => NAMES[backend]);
      return `On ${where.join(' and ')}: ${reason}.`;
    });
    const todo =
      setting === 'auto' ? 'Try another model, or another browser' : 'Let it run on "the fastest that answers right"';
    return `This model gets no score here. ${told.join(' ')} ${todo}; the details are under Model.`;
  }
  const told = error instanceof Error ? error.message : String(error);
  return error instanceof ModelRejected ? told : `The model could not be opened: ${told}`;
}

/** Backends in words. */
export const NAMES: Record<Backend, string> = { webgpu: 'WebGPU', threads: 'WebAssembly threads', wasm: 'WebAssembly' };

/** The same where there is room for one word. */
export const SHORT: Record<Backend, string> = { webgpu: 'WebGPU', threads: 'Threads', wasm: 'Wasm' };

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

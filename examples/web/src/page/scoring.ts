/** The model at work and the backend that runs it; beside it, while another is wanted, the one that is to follow. */

import { type Card, readCard } from '../core/card.ts';
import { ModelRejected } from '../core/errors.ts';
import { label } from '../core/records.ts';
import { capabilities } from '../engine/capabilities.ts';
import {
  type Capabilities,
  choose,
  faster,
  NoBackend,
  type Opener,
  plan,
  type Refusal,
  type Setting,
} from '../engine/chooser.ts';
import { BackendLost, Engine } from '../engine/engine.ts';
import type { Backend, Calls, Kind } from '../engine/protocol.ts';

/** A model file; `id` is its value in the list of models. */
export interface ModelFile {
  readonly id: string;
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** A model file that was read. */
export interface Model {
  readonly file: ModelFile;
  readonly card: Card;
  readonly sha256: string;
  /** As in its records. */
  readonly label: string;
}

/** A model on a backend where it passed its golden probes. */
export interface Work {
  readonly model: Model;
  readonly engine: Engine;
  readonly setting: Setting;
  /** Backends that are not used, and why. */
  refusals: readonly Refusal[];
  /** Those of them that broke while scoring, and how often any did. */
  readonly broken: readonly Refusal[];
  readonly breaks: number;
  /** Questions without an answer. */
  asked: number;
  /** Aborted when another is at work. */
  readonly ended: AbortController;
}

export type State =
  /** Nothing scores yet, or a backend broke and another is opened. */
  | { readonly is: 'loading'; readonly what: string }
  /** `beside`: what is done for a model or a backend that was chosen meanwhile; "" when nothing is. */
  | { readonly is: 'ready'; readonly work: Work; readonly beside: string }
  /** `retry`: the same may succeed later. `model` is null when it was not had, or not read. */
  | {
      readonly is: 'rejected';
      readonly why: string;
      readonly retry: boolean;
      readonly model: Model | null;
      readonly refusals: readonly Refusal[];
    };

/** Gets a model file; tells meanwhile how far it is. */
export type Get = (tell: (what: string) => void, signal: AbortSignal) => Promise<ModelFile>;

/** A model file could not be had: the message says all. */
export class NotDownloaded extends Error {}

const CHECKING = 'Checking the model by its golden probes';
const MOST_BREAKS = 6;
const OPEN_LIMIT = 45_000;
const WEBGPU_LIMIT = 90_000; // the first time it compiles its shaders

/** Holds one state. `changed` is told whenever anything that is public here is another. */
export class Scoring {
  state: State = { is: 'loading', what: 'Starting' };
  /** What the user set last; what is at work may have another until that one is proven. */
  setting: Setting = 'auto';
  can: Capabilities | null = null;
  /** The session's best so far, which a new backend must know of. */
  above = 0;
  readonly #changed: () => void;
  readonly #wasm: string;
  #source = new AbortController();
  #trial: { readonly file: Promise<ModelFile>; readonly ended: AbortController } | null = null;
  #repair: AbortController | null = null;
  #last: ModelFile | null = null;
  #proof: { readonly over: Promise<void>; end(): void } | null = null;

  constructor(wasm: string, changed: () => void) {
    this.#wasm = wasm;
    this.#changed = changed;
  }

  get work(): Work | null {
    return this.state.is === 'ready' ? this.state.work : null;
  }

  get engine(): Engine | null {
    return this.work?.engine ?? null;
  }

  /** A proof is under way: its frames are in one worker, so that none takes over. */
  get proving(): boolean {
    return this.#proof !== null;
  }

  set proving(is: boolean) {
    this.#proof?.end();
    let end = (): void => undefined;
    const over = new Promise<void>((resolve) => (end = resolve));
    this.#proof = is ? { over, end } : null;
  }

  /**
   * Use another model once it has passed its probes here. What is at work stays at work until then, and when it fails.
   *
   * @returns "" when it is at work; null when something else was chosen meanwhile; else why it is not used.
   */
  async use(get: Get): Promise<string | null> {
    this.#source.abort();
    const source = (this.#source = new AbortController());
    const tell = (what: string): void => {
      if (!source.signal.aborted) this.#say(what);
    };
    return this.#try(get(tell, source.signal), this.setting);
  }

  /** Use another backend, likewise, for the model that is at work or was chosen last. */
  async set(setting: Setting): Promise<string | null> {
    this.setting = setting;
    const file = this.#trial?.file ?? this.#last;
    return file === null ? null : this.#try(Promise.resolve(file), setting);
  }

  /** Give up what is tried beside: what is at work is wanted. */
  stay(): void {
    this.#source.abort();
    this.#trial?.ended.abort();
    this.#trial = null;
    this.setting = this.work?.setting ?? this.setting;
    this.#say('');
  }

  /**
   * Ask the backend. When it breaks, another is opened before this throws; whoever wants to, asks again.
   *
   * @throws BackendLost it broke.
   * @throws Error what was asked could not be done.
   */
  async ask<K extends Kind>(kind: K, ask: Calls[K]['ask'], transfer: Transferable[] = []): Promise<Calls[K]['answer']> {
    const { work } = this;
    if (work === null) throw new BackendLost('no model is ready');
    work.asked++;
    try {
      return await work.engine.call(kind, ask, transfer);
    } catch (error) {
      if (error instanceof BackendLost && work === this.work) await this.#replace(work, error);
      throw error;
    } finally {
      // Only now: a camera frame that goes down with its worker is not given back to the camera.
      if (--work.asked === 0 && work !== this.work) work.engine.close();
    }
  }

  async #try(file: Promise<ModelFile>, setting: Setting): Promise<string | null> {
    this.#trial?.ended.abort();
    const trial = (this.#trial = { file, ended: new AbortController() });
    const { signal } = trial.ended;
    this.setting = setting;
    this.#say('Loading the model');
    let model: Model | null = null;
    try {
      model = await read(await file);
      signal.throwIfAborted();
      await this.#open(model, setting, signal);
      return '';
    } catch (error) {
      if (signal.aborted) return null;
      this.#trial = null;
      return this.#failed(error, setting, model);
    }
  }

  /** Open on the first backend that works and put it to work; then, beside it, see whether a later one is faster. */
  async #open(model: Model, setting: Setting, signal: AbortSignal, lost: Work | null = null): Promise<void> {
    this.can ??= await capabilities();
    if (!this.can.simd) {
      throw new ModelRejected(
        'This browser has no WebAssembly SIMD, without which no model runs. ' +
          'Update it: Chrome 91, Firefox 89, Safari 16.4 or later.',
      );
    }
    this.#say(CHECKING);
    const { broken, breaks } = lost ?? { broken: [], breaks: 0 };
    const { first, later } = plan(this.can, setting);
    const unbroken = first.filter((backend) => !broken.some((refusal) => refusal.backend === backend));
    // When all of them have broken, each gets another chance: it may have been a photograph that no memory held.
    const usable = unbroken.length > 0 ? unbroken : first;
    let refusals = broken;
    const refused = (refusal: Refusal): void => void (refusals = noted(refusals, refusal));
    const { opened: engine } = await choose(usable, this.#opener(model), OPEN_LIMIT, refused, signal);
    if (lost === null) await this.#proof?.over;
    if (signal.aborted) engine.close();
    signal.throwIfAborted();
    const work = { model, engine, setting, refusals, broken, breaks, asked: 0, ended: new AbortController() };
    if (lost === null) this.#trial = null;
    this.#put(work);
    for (const backend of later) {
      if (!broken.some((refusal) => refusal.backend === backend)) void this.#improve(work, backend);
    }
  }

  #opener({ file, sha256 }: Model): Opener<Engine> {
    return (backend, signal) => Engine.open(backend, file.bytes, sha256, this.#wasm, signal);
  }

  async #improve(work: Work, backend: Backend): Promise<void> {
    const { model, engine: old, ended } = work;
    const refused = (refusal: Refusal): void => {
      work.refusals = noted(work.refusals, refusal);
      this.#changed();
    };
    const engine = await faster(old.runMs, backend, this.#opener(model), WEBGPU_LIMIT, refused, ended.signal);
    await this.#proof?.over;
    if (engine === null) return;
    if (ended.signal.aborted) return engine.close();
    refused({ backend: old.backend, why: `slower: ${old.runMs.toFixed(1)} ms a run`, probes: old.probes });
    this.#put({ ...work, engine, asked: 0, ended: new AbortController() });
  }

  /** From here on all questions go to this one; the one before answers those that it has. */
  #put(work: Work): void {
    const { work: old } = this;
    this.#repair?.abort();
    this.#repair = null;
    if (this.#last !== work.model.file) this.above = 0; // the means of two models are not comparable
    this.#last = work.model.file;
    // One that is lost already says so to the next question.
    void work.engine.call('session', { above: this.above }).catch(() => undefined);
    if (this.#trial === null) this.setting = work.setting;
    this.#tell({ is: 'ready', work, beside: this.#trial === null ? '' : this.#beside });
    old?.ended.abort();
    if (old?.asked === 0) old.engine.close();
  }

  async #replace(lost: Work, why: BackendLost): Promise<void> {
    lost.ended.abort();
    const { backend, probes } = lost.engine;
    const broken = noted(lost.broken, { backend, why: `broke while scoring: ${why.message}`, probes });
    const breaks = lost.breaks + 1;
    if (breaks > MOST_BREAKS) {
      const told = `Scoring broke ${breaks} times: ${why.message}`;
      return this.#tell({ is: 'rejected', why: told, retry: true, model: lost.model, refusals: broken });
    }
    const repair = (this.#repair = new AbortController());
    this.#tell({ is: 'loading', what: CHECKING });
    try {
      await this.#open(lost.model, lost.setting, repair.signal, { ...lost, broken, breaks });
    } catch (error) {
      if (repair.signal.aborted) return;
      this.#repair = null;
      this.#failed(error, lost.setting, lost.model);
    }
  }

  #failed(error: unknown, setting: Setting, model: Model | null): string {
    const { work } = this;
    const refusals = error instanceof NoBackend ? error.refusals : [];
    const why = inWords(error, setting, work);
    if (work === null) {
      if (this.#repair !== null || this.#trial !== null) return why; // which may yet succeed
      this.#last = model?.file ?? this.#last;
      const retry = !(error instanceof ModelRejected || error instanceof NoBackend);
      this.#tell({ is: 'rejected', why, retry, model, refusals });
      return why;
    }
    if (work.model.label === model?.label) work.refusals = refusals.reduce(noted, work.refusals);
    this.setting = work.setting;
    this.#say('');
    return why;
  }

  get #beside(): string {
    return this.state.is === 'ready' ? this.state.beside : this.state.is === 'loading' ? this.state.what : '';
  }

  #say(what: string): void {
    this.#tell(this.state.is === 'ready' ? { ...this.state, beside: what } : { is: 'loading', what });
  }

  #tell(state: State): void {
    this.state = state;
    this.#changed();
  }
}

function noted(refusals: readonly Refusal[], refusal: Refusal): readonly Refusal[] {
  return [...refusals.filter(({ backend }) => backend !== refusal.backend), refusal];
}

async function read(file: ModelFile): Promise<Model> {
  const card = readCard(file.bytes);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', file.bytes));
  const sha256 = [...digest].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return { file, card, sha256, label: label(card, sha256) };
}

function inWords(error: unknown, setting: Setting, stays: Work | null): string {
  const goesOn = stays && `${stays.model.card.name} on ${NAMES[stays.engine.backend]} stays in use.`;
  if (error instanceof NoBackend) {
    const reasons = [...new Set(error.refusals.map(({ why }) => why))];
    const told = reasons.map((reason) => {
      const where = error.refusals.filter(({ why }) => why === reason).map(({ backend }) => NAMES[backend]);
      return `On ${where.join(' and ')}: ${reason}.`;
    });
    const todo =
      setting === 'auto' ? 'Try another model, or another browser' : 'Let it run on "the fastest that answers right"';
    if (goesOn) return `Not used. ${told.join(' ')} ${goesOn}`;
    return `This model gets no score here. ${told.join(' ')} ${todo}; the details are under Model.`;
  }
  const message = error instanceof Error ? error.message : String(error);
  const whole = error instanceof ModelRejected || error instanceof NotDownloaded;
  const told = whole ? message : `The model could not be opened: ${message}`;
  return goesOn ? `Not used: ${told.replace(/\.?$/, '.')} ${goesOn}` : told;
}

/** Backends in words. */
export const NAMES: Record<Backend, string> = { webgpu: 'WebGPU', threads: 'WebAssembly threads', wasm: 'WebAssembly' };

/** The same where there is room for one word. */
export const SHORT: Record<Backend, string> = { webgpu: 'WebGPU', threads: 'Threads', wasm: 'Wasm' };

/** The model: which one, what its card says of it, how its probes came out here, and which backend runs it. */

import { describe } from '../core/card.ts';
import { type Verdict, warning } from '../core/gate.ts';
import type { Setting } from '../engine/chooser.ts';
import { at, element, say } from './dom.ts';
import { download, forget, type Offered, offered, recall, remember } from './model_store.ts';
import { probeRows } from './probe_table.ts';
import { type ModelFile, NAMES, type Scoring, type State } from './scoring.ts';

const OWN = 'own';

/** Owns #model. */
export class ModelPanel {
  readonly #scoring: Scoring;
  readonly #choice = at('model-choice', HTMLSelectElement);
  readonly #notice: (text: string) => void;
  #own: ModelFile | null = null;
  #offered: readonly Offered[] = [];
  #wanted = 0;
  #used = '';

  /** @param notice shows a sentence to the person, until it is told another or "". */
  constructor(scoring: Scoring, notice: (text: string) => void) {
    this.#scoring = scoring;
    this.#notice = notice;
    this.#choice.addEventListener('change', () => void this.#load(this.#choice.value));
    const input = at('model-file', HTMLInputElement);
    at('model-open').addEventListener('click', () => input.click());
    input.addEventListener('change', () => {
      const file = input.files?.[0];
      if (file !== undefined) void this.open(file);
      input.value = '';
    });
    at('model-forget').addEventListener('click', () => void this.#forget());
    const setting = at('setting', HTMLSelectElement);
    setting.addEventListener('change', () => void scoring.set(setting.value as Setting));
  }

  /** Open the remembered model, or the one that the page offers first. */
  async start(): Promise<void> {
    try {
      this.#offered = await offered();
    } catch (error) {
      return this.#scoring.reject((error as Error).message);
    }
    const options = this.#offered.map((it) => element('option', { value: valueOf(it) }, told(it)));
    this.#choice.replaceChildren(...options);
    this.#owns(await recall());
    await this.#load(this.#choice.value);
  }

  /** Path below the page of the model in use; null when it is one's own. */
  get file(): string | null {
    return this.#offered.find((it) => valueOf(it) === this.#used)?.file ?? null;
  }

  /** Open a model file of one's own; when it passes, it is remembered. */
  async open(file: File): Promise<void> {
    const wanted = ++this.#wanted;
    this.#notice('');
    const model: ModelFile = { name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) };
    await this.#scoring.use(model);
    if (wanted !== this.#wanted || this.#scoring.state.is !== 'ready') return;
    this.#owns(model);
    this.#choice.value = this.#used = OWN;
    await remember(model).catch((error: Error) => this.#notice(error.message));
  }

  /** Draw what is true now. */
  show(): void {
    const { card, engine, state, refusals, can } = this.#scoring;
    const root = at('model');
    root.dataset['name'] = card?.name ?? '';
    root.dataset['backend'] = engine?.backend ?? '';
    say(at('model-name'), card?.name ?? '–');
    say(at('model-recipe'), card?.recipe ?? '');
    say(at('model-gate'), card === null ? '' : gate(card.gate));
    // All of one backend: the one that scores, or, when none does, the last that came as far as the probes.
    const probes = engine?.probes ?? refusals.findLast((refusal) => refusal.probes.length > 0)?.probes ?? [];
    const passed = probes.filter(({ problem }) => problem === null).length;
    const verdict = at('model-verdict');
    verdict.dataset['verdict'] = engine !== null ? 'passed' : state.is === 'rejected' ? 'failed' : 'unknown';
    say(verdict, verdictText(state, passed, probes.length, engine === null ? '' : NAMES[engine.backend]));
    at('probes').hidden = probes.length === 0;
    at('probe-rows').replaceChildren(...probeRows(probes));
    const speed = engine === null ? '' : `in use, ${engine.runMs.toFixed(1)} ms a run`;
    const used = engine === null ? [] : [line(NAMES[engine.backend], speed, 'used')];
    at('backends').replaceChildren(
      ...used,
      ...refusals.map(({ backend, why }) => line(NAMES[backend], why, 'refused')),
    );
    const facts: [string, string][] = [];
    if (card !== null) {
      facts.push(
        ['Pixels', describe(card.preprocessing)],
        ['Licence', card.licence],
        ['From', card.attribution || '–'],
      );
      facts.push(['SHA-256', this.#scoring.sha256]);
    }
    if (can !== null) {
      const isolated = can.isolated ? 'isolated' : 'not isolated';
      const offers = [can.relaxedSimd ? 'relaxed SIMD' : 'SIMD', isolated, `${can.cores} cores`];
      facts.push(['Browser', [...offers, can.webgpu ? 'WebGPU' : 'no WebGPU'].join(', ')]);
    }
    at('facts').replaceChildren(
      ...facts.flatMap(([name, value]) => [element('dt', {}, name), element('dd', {}, value)]),
    );
  }

  /** After a rejection: the same once more, when it could not be had; else the bundled model. */
  async again(): Promise<void> {
    const { state } = this.#scoring;
    if (this.#offered.length === 0) return this.start();
    if (state.is === 'rejected' && !state.retry) this.#choice.selectedIndex = 0;
    await this.#load(this.#choice.value);
  }

  /** A model that is at work stays at work until the other one is here. */
  async #load(choice: string): Promise<void> {
    const wanted = ++this.#wanted;
    this.#notice('');
    if (choice === this.#used && this.#scoring.state.is === 'ready') return; // what is at work is not loaded again
    try {
      if (this.#scoring.engine === null) this.#scoring.loading('Loading the model');
      const model = choice === OWN ? this.#own : await this.#download(choice);
      if (model === null) return;
      if (wanted !== this.#wanted) return;
      this.#used = choice;
      await this.#scoring.use(model);
    } catch (error) {
      if (wanted !== this.#wanted) return;
      if (this.#scoring.engine === null) return this.#scoring.reject((error as Error).message);
      this.#choice.value = this.#used;
      this.#notice((error as Error).message);
    }
  }

  async #download(choice: string): Promise<ModelFile | null> {
    const chosen = this.#offered.find((it) => valueOf(it) === choice);
    return chosen === undefined ? null : download(chosen);
  }

  async #forget(): Promise<void> {
    this.#owns(null);
    await forget();
    this.#choice.selectedIndex = 0;
    await this.#load(this.#choice.value);
  }

  #owns(model: ModelFile | null): void {
    this.#own = model;
    this.#choice.querySelector(`option[value="${OWN}"]`)?.remove();
    if (model !== null) {
      this.#choice.append(element('option', { value: OWN }, `Yours: ${model.name}`));
      this.#choice.value = OWN;
    }
    at('model-forget').hidden = model === null;
  }
}

function valueOf({ file }: Offered): string {
  return file.replace(/^models\//, '');
}

function told({ name, size }: Offered): string {
  return `${name}, ${(size / 1e6).toFixed(1)} MB`;
}

function line(name: string, text: string, className: string): HTMLLIElement {
  return element('li', { className }, element('b', {}, name), ` ${text}`);
}

function gate(verdict: Verdict | null): string {
  if (verdict === null) return 'No agreement gate was run when this model was made.';
  const told = warning(verdict);
  if (told !== null) return `Beware: ${told}.`;
  return `Agreement gate: ${verdict.status}${verdict.why ? ` (${verdict.why})` : `, on ${verdict.on}`}.`;
}

function verdictText(state: State, passed: number, of: number, where: string): string {
  if (state.is === 'ready') return `Proven here: ${passed} of ${of} golden probes, on ${where}`;
  if (state.is === 'loading') return 'Not yet proven here';
  return `Not used: ${state.why}`; // here too: the banner is out of view for who opened it from here
}

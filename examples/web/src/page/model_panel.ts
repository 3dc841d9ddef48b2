/** The model: which one, what its card says of it, how its probes came out here, and which backend runs it. */

import { describe } from '../core/card.ts';
import type { ProbeResult } from '../core/check.ts';
import { type Verdict, warning } from '../core/gate.ts';
import type { Refusal, Setting } from '../engine/chooser.ts';
import { at, element, say } from './dom.ts';
import { download, forget, type Offered, offered, OWN, recall, remember } from './model_store.ts';
import { type Get, type ModelFile, NAMES, type Scoring, type State } from './scoring.ts';

/** Owns #model. What its lists show as chosen is what is at work, or tried beside it. */
export class ModelPanel {
  readonly #scoring: Scoring;
  readonly #choice = at('model-choice', HTMLSelectElement);
  readonly #setting = at('setting', HTMLSelectElement);
  readonly #notice: (text: string) => void;
  #own: ModelFile | null = null;
  /** The last model of one's own that was at work. */
  #seen: ModelFile | null = null;
  #offered: readonly Offered[] = [];

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
    this.#setting.addEventListener('change', () => void this.#told(scoring.set(this.#setting.value as Setting)));
  }

  /** Open the remembered model, or the one that the page offers first. */
  async start(): Promise<void> {
    await this.#use(async (tell, signal) => {
      const all = (this.#offered = await offered());
      this.#choice.replaceChildren(...all.map((it) => element('option', { value: it.id }, inList(it))));
      this.#owns(await recall());
      if (this.#own !== null) this.#choice.value = OWN;
      return (this.#seen = this.#own) ?? download(all[0])(tell, signal);
    });
  }

  /** Path below the page of the model in use; null when it is one's own. */
  get file(): string | null {
    return this.#offered.find(({ id }) => id === this.#scoring.work?.model.file.id)?.file ?? null;
  }

  /** Open a model file of one's own; when it passes, it is remembered. */
  async open(file: File): Promise<void> {
    await this.#use(async () => ({ id: OWN, name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) }));
  }

  /** Draw what is true now. */
  show(): void {
    const { work, state, setting, can } = this.#scoring;
    const { model, refusals } = work ?? (state.is === 'rejected' ? state : { model: null, refusals: [] });
    const engine = work?.engine ?? null;
    this.#setting.value = setting;
    if (state.is === 'ready') this.#atWork(state.work.model.file, state.beside !== '');
    const root = at('model');
    root.dataset['name'] = model?.card.name ?? '';
    root.dataset['backend'] = engine?.backend ?? '';
    say(at('model-name'), model?.card.name ?? '–');
    say(at('model-recipe'), model?.card.recipe ?? '');
    say(at('model-gate'), model === null ? '' : gate(model.card.gate));
    const beside = state.is === 'ready' ? state.beside : '';
    at('model-beside').hidden = beside === '';
    say(at('model-beside'), beside);
    // All of one backend: the one that scores, or, when none does, the last that came as far as the probes.
    const probes = engine?.probes ?? refusals.findLast((refusal) => refusal.probes.length > 0)?.probes ?? [];
    const passed = probes.filter(({ problem }) => problem === null).length;
    const verdict = at('model-verdict');
    verdict.dataset['verdict'] = { ready: 'passed', rejected: 'failed', loading: 'unknown' }[state.is];
    say(verdict, verdictText(state, passed, probes.length));
    at('probes').hidden = probes.length === 0;
    at('probe-rows').replaceChildren(...probes.map(probeRow));
    at('backends').replaceChildren(
      ...(engine === null ? [] : [line(NAMES[engine.backend], `in use, ${engine.runMs.toFixed(1)} ms a run`, 'used')]),
      ...refusals.map(({ backend, why }: Refusal) => line(NAMES[backend], why, 'refused')),
    );
    const facts: [string, string][] = [];
    if (model !== null) {
      const { preprocessing, licence, attribution } = model.card;
      facts.push(['Pixels', describe(preprocessing)], ['Licence', licence], ['From', attribution || '–']);
      facts.push(['SHA-256', model.sha256]);
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

  /** After a rejection: the same once more, when it may succeed; else the bundled model. */
  async again(): Promise<void> {
    const { state } = this.#scoring;
    if (this.#offered.length === 0) return this.start();
    if (state.is === 'rejected' && !state.retry) this.#choice.selectedIndex = 0;
    await this.#load(this.#choice.value);
  }

  async #load(choice: string): Promise<void> {
    if (choice === this.#scoring.work?.model.file.id) {
      this.#scoring.stay();
      return this.#notice('');
    }
    const chosen = this.#offered.find(({ id }) => id === choice);
    await this.#use(chosen === undefined ? () => Promise.resolve(this.#own!) : download(chosen));
  }

  async #use(get: Get): Promise<void> {
    await this.#told(this.#scoring.use(get));
  }

  async #told(outcome: Promise<string | null>): Promise<void> {
    this.#notice('');
    const why = await outcome;
    if (why !== null && why !== '') this.#notice(why);
  }

  /** A model is at work: the list shows it, unless another is tried; one's own is remembered. */
  #atWork(file: ModelFile, beside: boolean): void {
    if (file.id === OWN && file !== this.#seen) {
      this.#seen = file;
      this.#owns(file);
      void remember(file).catch((error: Error) => this.#notice(error.message));
    }
    if (!beside) this.#choice.value = file.id;
  }

  async #forget(): Promise<void> {
    await forget();
    if (this.#scoring.work?.model.file.id === OWN) await this.#load(this.#offered[0]!.id);
    if (this.#scoring.work?.model.file.id !== OWN) this.#owns(null);
  }

  #owns(model: ModelFile | null): void {
    this.#own = model;
    this.#choice.querySelector(`option[value="${OWN}"]`)?.remove();
    if (model !== null) this.#choice.append(element('option', { value: OWN }, `Yours: ${model.name}`));
    at('model-forget').hidden = model === null;
  }
}

function inList({ name, size }: Offered): string {
  return `${name}, ${(size / 1e6).toFixed(1)} MB`;
}

function line(name: string, text: string, className: string): HTMLLIElement {
  return element('li', { className }, element('b', {}, name), ` ${text}`);
}

/** A probe's name, whether its pixels are the same, its mean here and where the model was made. */
function probeRow({ name, problem, pixelsSame, mean, ownMean }: ProbeResult): HTMLTableRowElement {
  const told = problem === null ? [] : [element('small', {}, problem)];
  const row = element(
    'tr',
    { className: problem === null ? 'passed' : 'wrong' },
    element('th', { scope: 'row' }, name, ...told),
    element('td', {}, pixelsSame === null ? '–' : pixelsSame ? 'same' : 'other'),
    element('td', {}, Number.isNaN(mean) ? '–' : mean.toFixed(3)),
    element('td', {}, ownMean.toFixed(3)),
  );
  Object.assign(row.dataset, { name, mean: String(mean), problem: problem ?? '' });
  return row;
}

function gate(verdict: Verdict | null): string {
  if (verdict === null) return 'No agreement gate was run when this model was made.';
  const told = warning(verdict);
  if (told !== null) return `Beware: ${told}.`;
  return `Agreement gate: ${verdict.status}${verdict.why ? ` (${verdict.why})` : `, on ${verdict.on}`}.`;
}

function verdictText(state: State, passed: number, of: number): string {
  if (state.is === 'loading') return 'Not yet proven here';
  if (state.is === 'rejected') return `Not used: ${state.why}`; // here too: the banner may be out of view
  return `Proven here: ${passed} of ${of} golden probes, on ${NAMES[state.work.engine.backend]}`;
}

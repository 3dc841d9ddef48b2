/** The view of photographs: best first, near-duplicates stacked, filtered and judged, and what is saved of them. */

import './photographs.css';

import { type ScoreRecord, toCsv, toJsonLines } from '../core/records.ts';
import { stacks } from './alike.ts';
import { at, element, say } from './dom.ts';
import { modelsOf, type Named, photographsOf, picked } from './dropped.ts';
import { Histogram } from './histogram.ts';
import { FLAG_KEYS, FLAGS, LargeView, type Seen } from './large.ts';
import { PhotographList, type Shot, stampOf } from './list.ts';
import { download, stamp } from './saving.ts';
import type { Scoring } from './scoring.ts';

const SVG = 'http://www.w3.org/2000/svg';
const PAGE = 60;
const INVITATION = 'Drop photographs or a folder anywhere on this page. They stay on this device.';

/** A card of the grid: its place among the best, and how many near-duplicates are under it. */
interface Row extends Seen {
  readonly place: number;
  readonly alike: number;
}

interface Card {
  readonly item: HTMLLIElement;
  readonly record: ScoreRecord;
  readonly address: string;
}

/** Owns #photographs. */
export class PhotographsView {
  readonly #scoring: Scoring;
  readonly #list: PhotographList;
  readonly #large: LargeView;
  readonly #notice: (text: string) => void;
  readonly #cards = new Map<Shot, Card>();
  readonly #opened = new Set<Shot>();
  #rows: readonly Row[] = [];
  #limit = PAGE;
  #drawing: ReturnType<typeof setTimeout> | undefined;
  #took = 0;

  /** @param notice shows a sentence to the person, until it is told another or "". */
  constructor(scoring: Scoring, notice: (text: string) => void) {
    this.#scoring = scoring;
    this.#notice = notice;
    this.#list = new PhotographList(scoring, () => this.#changed(), notice);
    this.#large = new LargeView(
      (shot, flag) => this.#list.flag(shot, flag),
      (last) => {
        this.#draw();
        this.#focus(this.#rows.findIndex(({ shot }) => shot === last));
      },
    );
    for (const [button, input] of [
      ['choose', 'files'],
      ['choose-folder', 'folder'],
    ] as const) {
      const files = at(input, HTMLInputElement);
      at(button).addEventListener('click', () => files.click());
      files.addEventListener('change', () => {
        this.add(picked(files.files));
        files.value = ''; // so that the same ones can be chosen again
      });
    }
    at('choose-folder').hidden = !('webkitdirectory' in HTMLInputElement.prototype);
    at('cancel').addEventListener('click', () => this.#list.stop());
    at('again').addEventListener('click', () => void this.#list.go());
    at('clear').addEventListener('click', () => this.#clear());
    at('more').addEventListener('click', () => this.#draw(this.#limit + PAGE));
    at('filters').addEventListener('input', () => this.#draw(PAGE));
    at('to-failures').addEventListener('click', (event) => {
      event.preventDefault();
      at('failures', HTMLDetailsElement).open = true;
      at('failures-said').focus();
    });
    at('shots').addEventListener('click', (event) => this.#clicked(event.target as Element));
    at('shots').addEventListener('keydown', (event) => this.#key(event));
    this.#exports();
  }

  /** The model is ready, or no longer. */
  ready(is: boolean): void {
    const rejected = this.#scoring.state.is === 'rejected';
    for (const id of ['choose', 'choose-folder']) at(id, HTMLButtonElement).disabled = rejected;
    if (is) void this.#list.run();
    else this.#changed();
  }

  /** Add files to the list. */
  add(files: readonly Named[]): void {
    if (files.length === 0) return;
    const photographs = photographsOf(files);
    const models = modelsOf(files).map(({ name }) => name);
    const alone = `Left out ${models.join(', ')}: to use a model, drop it by itself.`;
    if (photographs.length === 0) {
      const possible = 'Possible: JPEG, PNG, WebP, GIF, BMP, AVIF.';
      return say(at('drop-said'), models.length > 0 ? alone : `No photographs among these files. ${possible}`);
    }
    const scored = new Set(photographs);
    const others = files.filter((file) => !scored.has(file) && !models.includes(file.name)).map(({ name }) => name);
    const left = [models.length > 0 ? alone : '', leftOut(others)].filter((told) => told !== '');
    say(at('drop-said'), left.join(' ') || INVITATION);
    this.#notice('');
    void this.#list.add(photographs);
  }

  #changed(): void {
    const { pending, stopped, done } = this.#list;
    if (pending.length > 0 && !stopped) {
      at('working').hidden = false;
      const waits = this.#scoring.work === null ? ', waiting for the model' : '';
      say(at('working-said'), `${done} of ${done + pending.length}${waits}`);
      Object.assign(at('progress', HTMLProgressElement), { max: done + pending.length, value: done });
    }
    // Thousands may come in a row: drawing takes a fifth of the time, at most.
    this.#drawing ||= setTimeout(() => this.#draw(), 4 * this.#took);
  }

  #draw(limit = this.#limit): void {
    clearTimeout(this.#drawing);
    this.#drawing = undefined;
    const began = performance.now();
    this.#limit = limit;
    const { listed, pending, stopped } = this.#list;
    const failed = listed.filter(([, { error }]) => error !== null);
    at('failed').replaceChildren(
      ...failed.map(([{ name }, { error }]) => element('li', {}, element('b', {}, name), ` ${error ?? ''}`)),
    );
    at('failures').hidden = at('to-failures').hidden = failed.length === 0;
    say(at('failures-said'), failed.length === 1 ? '1 file has no score' : `${failed.length} files have no score`);
    say(at('to-failures'), `${failed.length} without a score`);
    const { model } = this.#list;
    at('results').dataset['model'] = model;
    at('results').hidden = listed.length === 0;
    say(at('results-said'), `${listed.length - failed.length} scored by ${model.replace(/@[^@]*$/, '')}`);
    this.#note();
    this.#grid();
    if ((pending.length === 0 || stopped) && !at('working').hidden) {
      at('working').hidden = true;
      const not = failed.length > 0 ? `, ${failed.length} without a score` : '';
      say(at('said'), `${stopped ? 'Stopped' : 'Done'}: ${at('results-said').textContent}${not}`);
    }
    this.#took = performance.now() - began;
  }

  /** What the list lacks, and what to do about it. */
  #note(): void {
    const { shots, listed, pending, stopped } = this.#list;
    const others = pending.length > 0 && !stopped ? 0 : shots.size - listed.length;
    const small = listed.filter(([{ file }, { error }]) => file === null && error === null).length;
    const told = [];
    if (others > 0) told.push(`${others} more were scored by another model: choose it, or these photographs again.`);
    if (small > 0) told.push(`Of ${small} only a small picture is here: choose the same files again to see them large.`);
    say(at('list-note'), told.join(' '));
    at('again').hidden = !stopped || pending.length === 0;
    say(at('again'), `Score ${pending.length} with ${this.#scoring.work?.model.card.name ?? ''}`);
  }

  #grid(): void {
    this.#rows = this.#filtered();
    const drawn = this.#rows.slice(0, this.#limit).map((row) => this.#card(row));
    const list = at('shots');
    const focused = document.activeElement as HTMLElement;
    const before = [...list.children].findIndex((item) => item.contains(focused));
    // Put in once more, an element loses the focus.
    if (drawn.length !== list.childElementCount || drawn.some((item, i) => item !== list.children[i])) {
      list.replaceChildren(...drawn);
      if (before >= 0 && list.contains(focused)) focused.focus({ preventScroll: true });
      else if (before >= 0) this.#focus(before);
    }
    at('more').hidden = this.#rows.length <= this.#limit;
    const flagged = (flag: string): number => this.#rows.filter(({ shot }) => shot.flag === flag).length;
    const told = [`${this.#rows.length} shown`];
    for (const flag of ['picked', 'rejected']) if (flagged(flag) > 0) told.push(`${flagged(flag)} ${flag}`);
    say(at('shown-said'), told.join(', '));
    say(at('names-copy'), `Copy ${this.#names().length} names`);
  }

  /** Best first. Of near-duplicates the best that is not rejected stands for all; what is picked is always shown. */
  #filtered(): Row[] {
    const number = (id: string, without: number): number => at(id, HTMLInputElement).valueAsNumber || without;
    const [top, least] = [number('top', Infinity), number('least', 0)];
    const flagged = at('flagged', HTMLSelectElement).value;
    const ranked = this.#list.listed
      .flatMap(([shot, { mean, std }]) => (mean === null || std === null ? [] : [{ shot, mean, std, hash: shot.hash }]))
      .sort((a, b) => b.mean - a.mean);
    const isRejected = ({ shot }: Seen): boolean => shot.flag === 'rejected';
    const standing = [...ranked.filter((one) => !isRejected(one)), ...ranked.filter(isRejected)];
    const stacked = at('stacked', HTMLInputElement).checked && flagged === 'all';
    const made = stacked ? stacks(standing) : ranked.map((one): [typeof one] => [one]);
    made.sort(([a], [b]) => b.mean - a.mean);
    const rows: Row[] = [];
    let place = 0;
    for (const [head, ...others] of made) {
      if (!isRejected(head)) place++;
      const passes = place <= top && head.mean >= least;
      if (passes || head.shot.flag === 'picked') rows.push({ ...head, place, alike: others.length });
      for (const other of others) {
        const shown = passes && this.#opened.has(head.shot);
        if (shown || other.shot.flag === 'picked') rows.push({ ...other, place, alike: 0 });
      }
    }
    return rows.filter(({ shot }) => flagged === 'all' || shot.flag === flagged);
  }

  /** Names of what is shown, without what is rejected unless that was asked for. */
  #names(): string[] {
    const rejected = at('flagged', HTMLSelectElement).value === 'rejected';
    return this.#rows.filter(({ shot }) => rejected || shot.flag !== 'rejected').map(({ shot }) => shot.name);
  }

  #card({ shot, place, alike }: Row): HTMLLIElement {
    const record = shot.records[this.#list.model]!;
    let card = this.#cards.get(shot);
    if (card?.record !== record) {
      const address = card?.address || (shot.thumbnail === null ? '' : URL.createObjectURL(shot.thumbnail));
      card = { item: newCard(record, address), record, address };
      this.#cards.set(shot, card);
    }
    const { item } = card;
    item.dataset['flag'] = shot.flag;
    say(item.querySelector('.rank')!, shot.flag === 'rejected' ? '✕' : String(place));
    say(item.querySelector('.flag')!, FLAGS[shot.flag]);
    const stack = item.querySelector<HTMLElement>('.stack')!;
    stack.hidden = alike === 0;
    stack.setAttribute('aria-expanded', String(this.#opened.has(shot)));
    say(stack, `+ ${alike} alike`);
    return item;
  }

  #clicked(target: Element): void {
    const place = [...at('shots').children].findIndex((item) => item.contains(target));
    const row = this.#rows[place];
    if (row === undefined) return;
    if (target.closest('.picture') !== null) this.#large.open(this.#rows, place);
    if (target.closest('.stack') === null) return;
    if (!this.#opened.delete(row.shot)) this.#opened.add(row.shot);
    this.#draw();
  }

  #key(event: KeyboardEvent): void {
    const items = [...at('shots').children] as HTMLElement[];
    const place = items.findIndex((item) => item.contains(event.target as Element));
    if (place < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    const flag = FLAG_KEYS[event.key.toLowerCase()];
    const columns = items.filter(({ offsetTop }) => offsetTop === items[0]!.offsetTop).length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (flag !== undefined) {
      this.#list.flag(this.#rows[place]!.shot, flag);
      this.#draw();
    } else if (step !== undefined && items[place + step] !== undefined) this.#focus(place + step);
    else return;
    event.preventDefault();
  }

  #focus(place: number): void {
    if (place >= this.#limit) this.#draw(place + 1);
    const items = at('shots').children;
    const item = items[Math.max(0, Math.min(place, items.length - 1))];
    (item?.querySelector<HTMLElement>('.picture') ?? at('choose')).focus();
  }

  #clear(): void {
    for (const { address } of this.#cards.values()) URL.revokeObjectURL(address);
    this.#cards.clear();
    this.#opened.clear();
    this.#list.clear();
    this.#draw(PAGE);
    at('choose').focus();
  }

  #exports(): void {
    const save = (text: string, ending: string, type: string): void =>
      download(new Blob([text], { type }), `edge-nima-${stamp()}.${ending}`);
    const items = (): [ScoreRecord, ReturnType<typeof stampOf>][] =>
      this.#list.listed.map(([shot, record]) => [record, stampOf(shot)]);
    const names = (): string => this.#names().map((name) => `${name}\n`).join('');
    at('export-csv').addEventListener('click', () => save(toCsv(items()), 'csv', 'text/csv'));
    at('export-jsonl').addEventListener('click', () => save(toJsonLines(items()), 'jsonl', 'application/jsonl'));
    at('names-save').addEventListener('click', () => save(names(), 'txt', 'text/plain'));
    at('names-copy').addEventListener('click', () => {
      void navigator.clipboard.writeText(names()).then(
        () => say(at('shown-said'), `${this.#names().length} names copied`),
        (error: Error) => this.#notice(`The names were not copied: ${error.message}. Save them as a file.`),
      );
    });
  }
}

function newCard({ name, mean, std, distribution }: ScoreRecord, address: string): HTMLLIElement {
  const picture = element('img', { alt: `${name}, score ${mean!.toFixed(2)}`, loading: 'lazy', decoding: 'async' });
  if (address !== '') picture.src = address;
  const open = element(
    'button',
    { className: 'picture' },
    picture,
    element('span', { className: 'rank' }),
    element('span', { className: 'flag' }),
  );
  open.setAttribute('aria-keyshortcuts', 'P X U');
  const bars = document.createElementNS(SVG, 'svg');
  bars.setAttribute('viewBox', '0 0 200 74');
  bars.setAttribute('role', 'img');
  const histogram = new Histogram(bars);
  histogram.show(distribution!, mean!);
  histogram.describe(distribution!);
  const spread = element('span', { className: 'soft' }, `± ${std!.toFixed(2)}`);
  const item = element(
    'li',
    { className: 'card' },
    open,
    element('p', { className: 'told' }, element('b', {}, mean!.toFixed(2)), ' ', spread),
    element('div', { className: 'bars' }, bars),
    element('p', { className: 'soft name', title: name }, name),
    element('button', { className: 'stack' }),
  );
  Object.assign(item.dataset, { name, mean: String(mean), std: String(std) });
  return item;
}

/** What is said of files beside photographs; '' where there are none. */
function leftOut(names: readonly string[]): string {
  const [first, ...more] = names;
  if (first === undefined) return '';
  if (more.length === 0) return `Left out ${first}: no photograph.`;
  return `Left out ${first} and ${more.length} more: no photographs.`;
}

/** Pictures taken: the best of the session, and those that the shutter, a burst or a look back kept. */

import { get, set } from 'idb-keyval';

import type { Shot, Which } from '../engine/protocol.ts';
import { at, element, say } from './dom.ts';
import { canShare, share, stamp } from './saving.ts';
import type { Scoring } from './scoring.ts';

const SETTLED = 800;
const BURST = 2000;
const KEY = 'shots';

/** A picture with its file name. */
interface Kept extends Shot {
  readonly name: string;
}

/** Owns #taken, and the buttons #shutter, #burst and #recent. Kept pictures survive a reload, the session's best does not. */
export class Shots {
  readonly #scoring: Scoring;
  readonly #kept: Kept[] = [];
  readonly #best = element('li', { id: 'best', hidden: true });
  #timer: ReturnType<typeof setTimeout> | undefined;
  #model = '';

  constructor(scoring: Scoring) {
    this.#scoring = scoring;
    at('taken').append(this.#best);
    at('shutter').addEventListener('click', () => void this.#take('last'));
    at('recent').addEventListener('click', () => void this.#take('recent'));
    at('burst').addEventListener('click', () => void this.#burst());
    void this.#recall();
  }

  /** Whether frames are scored, of which pictures can be taken. */
  ready(is: boolean): void {
    for (const id of ['shutter', 'recent', 'burst']) at(id, HTMLButtonElement).disabled = !is;
    const sha256 = this.#scoring.work?.model.sha256 ?? '';
    if (sha256 === '' || sha256 === this.#model) return;
    if (this.#model !== '') this.#forget(); // another model's best cannot be compared with it
    this.#model = sha256;
  }

  /** A frame is better than all before. Its JPEG is made a moment after, not at every frame that is a little better. */
  better(): void {
    this.#timer ??= setTimeout(() => void this.#fetchBest(), SETTLED);
  }

  async #fetchBest(): Promise<void> {
    this.#timer = undefined;
    const shot = await this.#ask('session');
    if (shot === null) return;
    this.#scoring.above = shot.mean; // only now: a backend that takes over begins with what is in hand
    this.#fill(this.#best, { ...shot, name: nameOf(shot) }, 'Best so far', () => {
      this.#forget();
      void this.#scoring.ask('session', { above: 0 }).catch(() => null);
    });
    this.#best.dataset['mean'] = String(shot.mean);
    this.#best.hidden = false;
  }

  async #burst(): Promise<void> {
    const button = at('burst', HTMLButtonElement);
    button.setAttribute('aria-pressed', 'true');
    await this.#scoring.ask('burst', null).catch(() => null);
    await new Promise((resolve) => setTimeout(resolve, BURST));
    await this.#take('burst');
    button.setAttribute('aria-pressed', 'false');
  }

  async #take(which: Which): Promise<void> {
    const shot = await this.#ask(which);
    if (shot === null) return say(at('said'), 'No picture to keep yet');
    const kept = { ...shot, name: nameOf(shot) };
    this.#kept.unshift(kept);
    this.#best.after(this.#tile(kept));
    say(at('said'), `Kept a picture, score ${shot.mean.toFixed(2)}`);
    await this.#store();
  }

  /** Null when there is none, or the backend broke: the next frames tell. */
  #ask(which: Which): Promise<Shot | null> {
    return this.#scoring.ask('shot', which).catch(() => null);
  }

  #forget(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#scoring.above = 0;
    this.#best.hidden = true;
  }

  #tile(kept: Kept): HTMLLIElement {
    const item = element('li');
    this.#fill(item, kept, 'Kept', () => {
      this.#kept.splice(this.#kept.indexOf(kept), 1);
      const next = item.nextElementSibling ?? item.previousElementSibling;
      URL.revokeObjectURL(item.querySelector('img')!.src);
      item.remove();
      next?.querySelector<HTMLElement>('.save')?.focus();
      void this.#store();
    });
    return item;
  }

  #fill(item: HTMLLIElement, { jpeg, mean, width, height, name }: Kept, what: string, remove: () => void): void {
    const old = item.querySelector('img')?.src;
    if (old !== undefined) URL.revokeObjectURL(old);
    const score = mean.toFixed(2);
    const verb = canShare() ? 'Share' : 'Save';
    const picture = element('img', { src: URL.createObjectURL(jpeg), alt: `${what}, score ${score}` });
    const save = element('button', { className: 'save', ariaLabel: `${verb}: ${what}, score ${score}` }, verb);
    const away = element('button', { className: 'away', ariaLabel: `Remove: ${what}, score ${score}` }, '✕');
    save.addEventListener('click', () => void share(new File([jpeg], name, { type: 'image/jpeg' })));
    away.addEventListener('click', remove);
    const told = element('p', {}, element('b', {}, score), ` ${what} · ${width}×${height}`);
    item.replaceChildren(picture, told, element('div', { className: 'buttons' }, save, away));
  }

  async #store(): Promise<void> {
    at('taken').dataset['count'] = String(this.#kept.length);
    await set(KEY, this.#kept).catch(() =>
      say(at('taken-said'), "This browser's storage is full: save these pictures before you leave the page."),
    );
  }

  async #recall(): Promise<void> {
    const before = await get<Kept[]>(KEY).catch(() => undefined); // a private window of some browsers has no storage
    this.#kept.push(...(before ?? []));
    at('taken').append(...this.#kept.map((kept) => this.#tile(kept)));
    at('taken').dataset['count'] = String(this.#kept.length);
  }
}

function nameOf({ mean }: Shot): string {
  return `edge-nima-${mean.toFixed(2)}-${stamp()}.jpg`;
}

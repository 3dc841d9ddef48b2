/** Pictures taken: the best of the session, and those that the shutter, a burst or a look back kept. */

import { createStore, del, set, values } from 'idb-keyval';

import type { Shot, Which } from '../engine/protocol.ts';
import { at, element, say } from './dom.ts';
import { canShare, share, stamp } from './saving.ts';
import type { Scoring } from './scoring.ts';

const SETTLED = 800;
const BURST = 2000;
const HELD = 'Those you take stay here until you remove them.';
const NONE: Record<Which, string> = {
  last: 'No picture to keep yet',
  session: 'No picture to keep yet',
  recent: 'No picture of the last ten seconds',
  burst: 'The burst has no picture',
};

/** A picture with its file name. */
interface Named extends Shot {
  readonly name: string;
}

/** A picture in this browser's storage. */
interface Kept extends Named {
  /** Its key, unique among all tabs. */
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly taken: number;
}

/** An entry a picture: several tabs of the page write to it. */
const STORE = createStore('edge-nima-pictures', 'shots');

/** Owns #taken, and the buttons #shutter, #burst and #recent. Kept pictures survive a reload, the session's best does not. */
export class Shots {
  readonly #scoring: Scoring;
  readonly #best = element('li', { id: 'best', hidden: true });
  /** Pictures that are shown and not stored: the storage was full, or there is none. */
  readonly #unstored = new Set<Kept>();
  readonly #recalled: Promise<void>;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #model = '';
  #bursting = false;

  constructor(scoring: Scoring) {
    this.#scoring = scoring;
    at('taken').append(this.#best);
    at('shutter').addEventListener('click', () => void this.#take('last'));
    at('recent').addEventListener('click', () => void this.#take('recent'));
    at('burst').addEventListener('click', () => void this.#burst());
    this.#recalled = this.#recall();
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
    if (this.#bursting) return;
    this.#bursting = true;
    const button = at('burst', HTMLButtonElement);
    button.setAttribute('aria-pressed', 'true');
    try {
      await this.#scoring.ask('burst', null).catch(() => null);
      await new Promise((resolve) => setTimeout(resolve, BURST));
      await this.#take('burst');
    } finally {
      button.setAttribute('aria-pressed', 'false');
      this.#bursting = false;
    }
  }

  async #take(which: Which): Promise<void> {
    const shot = await this.#ask(which);
    if (shot === null) return say(at('said'), NONE[which]);
    const kept = { ...shot, name: nameOf(shot), id: crypto.randomUUID(), taken: Date.now() };
    await this.#recalled;
    this.#best.after(this.#tile(kept));
    this.#unstored.add(kept);
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
      const next = item.nextElementSibling ?? item.previousElementSibling;
      URL.revokeObjectURL(item.querySelector('img')!.src);
      item.remove();
      next?.querySelector<HTMLElement>('.save')?.focus();
      void this.#remove(kept);
    });
    return item;
  }

  #fill(item: HTMLLIElement, { jpeg, mean, width, height, name }: Named, what: string, remove: () => void): void {
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

  /** Store what is not stored, also what there was no room for before, and say what is not. */
  async #store(): Promise<void> {
    let why = '';
    for (const kept of this.#unstored) {
      try {
        await set(kept.id, kept, STORE);
        this.#unstored.delete(kept);
      } catch (error) {
        const full = error instanceof DOMException && error.name === 'QuotaExceededError';
        why = full ? "this browser's storage is full" : String(error);
      }
    }
    const { size } = this.#unstored;
    const them = size === 1 ? 'it' : 'them';
    const not = `${size} not stored: ${why}. Save ${them} before you leave the page.`;
    say(at('taken-said'), size === 0 ? HELD : not);
    if (size > 0) say(at('said'), not);
    this.#count();
  }

  async #remove(kept: Kept): Promise<void> {
    this.#unstored.delete(kept);
    await del(kept.id, STORE).catch(() => undefined); // where nothing can be stored, nothing is
    await this.#store(); // there may be room now
  }

  async #recall(): Promise<void> {
    const before = await values<Kept>(STORE).catch(() => []); // a private window of some browsers has no storage
    before.sort((a, b) => b.taken - a.taken);
    at('taken').append(...before.map((kept) => this.#tile(kept)));
    this.#count();
  }

  #count(): void {
    at('taken').dataset['count'] = String(at('taken').childElementCount - 1); // without the session's best
  }
}

function nameOf({ mean }: Shot): string {
  return `edge-nima-${mean.toFixed(2)}-${stamp()}.jpg`;
}

/** One photograph large, or two beside each other, with keys, swipes and buttons to go on and to judge. */

import { at, say } from './dom.ts';
import type { Flag, Shot } from './list.ts';

/** A photograph with its score. */
export interface Seen {
  readonly shot: Shot;
  readonly mean: number;
  readonly std: number;
}

export const FLAGS: Record<Flag, string> = { picked: 'Picked', rejected: 'Rejected', '': '' };
/** As in Lightroom. */
export const FLAG_KEYS: Readonly<Record<string, Flag>> = { p: 'picked', x: 'rejected', u: '' };
const SWIPE = 48; // CSS pixels

/** Owns #large. What is gone through is what was shown when it opened, whatever is judged meanwhile. */
export class LargeView {
  readonly #dialog = at('large', HTMLDialogElement);
  readonly #flag: (shot: Shot, flag: Flag) => void;
  readonly #addresses = new Map<Element, string>();
  #all: readonly Seen[] = [];
  /** All, without the one that is held. */
  #order: readonly Seen[] = [];
  #place = 0;
  /** Kept on the left while what is beside it changes. */
  #held: Seen | null = null;

  /** @param closed told which photograph was looked at last. */
  constructor(flag: (shot: Shot, flag: Flag) => void, closed: (last: Shot) => void) {
    this.#flag = flag;
    at('large-close').addEventListener('click', () => this.#dialog.close());
    at('large-before').addEventListener('click', () => this.#move(-1));
    at('large-next').addEventListener('click', () => this.#move(1));
    at('large-compare').addEventListener('click', () => this.#compare());
    at('large-pick').addEventListener('click', () => this.#judge('picked', true));
    at('large-reject').addEventListener('click', () => this.#judge('rejected', true));
    this.#dialog.addEventListener('keydown', (event) => this.#key(event));
    this.#dialog.addEventListener('close', () => {
      const { shot } = this.#now;
      for (const address of this.#addresses.values()) URL.revokeObjectURL(address);
      this.#addresses.clear();
      closed(shot);
    });
    let from: PointerEvent | null = null;
    const pictures = at('large-pictures');
    pictures.addEventListener('pointerdown', (event) => (from = event.pointerType === 'mouse' ? null : event));
    pictures.addEventListener('pointercancel', () => (from = null));
    pictures.addEventListener('pointerup', (event) => {
      if (from === null || event.pointerId !== from.pointerId) return;
      const [x, y] = [event.clientX - from.clientX, event.clientY - from.clientY];
      if (Math.abs(x) > Math.max(SWIPE, 2 * Math.abs(y))) this.#move(x < 0 ? 1 : -1);
    });
  }

  open(order: readonly Seen[], place: number): void {
    this.#all = this.#order = order;
    this.#place = place;
    this.#held = null;
    this.#show();
    this.#dialog.showModal();
    at('large-next').focus();
  }

  get #now(): Seen {
    return this.#order[this.#place]!;
  }

  #move(by: number): void {
    this.#place = Math.min(Math.max(this.#place + by, 0), this.#order.length - 1);
    this.#show();
  }

  #compare(): void {
    const { shot: now } = this.#now;
    const held = this.#held === null && this.#all.length > 1 ? this.#now : null;
    this.#held = held;
    this.#order = this.#all.filter((one) => one !== held);
    if (held === null) this.#place = this.#order.findIndex(({ shot }) => shot === now);
    this.#move(0);
  }

  #judge(flag: Flag, toggle = false): void {
    const { shot } = this.#now;
    this.#flag(shot, toggle && shot.flag === flag ? '' : flag);
    this.#show();
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase();
    const flag = FLAG_KEYS[key];
    const step = { arrowleft: -1, arrowright: 1, home: -Infinity, end: Infinity }[key];
    if (flag !== undefined) this.#judge(flag);
    else if (step !== undefined) this.#move(step);
    else if (key === 'c') this.#compare();
    else return;
    event.preventDefault();
  }

  #show(): void {
    const { shot, mean, std } = this.#now;
    at('large-held').hidden = this.#held === null;
    if (this.#held !== null) this.#fill('large-held', this.#held);
    this.#fill('large-now', this.#now);
    say(at('large-name'), shot.name);
    const told = [`${this.#place + 1} of ${this.#order.length}`, `${mean.toFixed(2)} ± ${std.toFixed(2)}`];
    if (shot.flag !== '') told.push(FLAGS[shot.flag]);
    if (shot.file === null) told.push('small picture: choose the same file again to see all of it');
    say(at('large-said'), told.join(' · '));
    at('large-pick').setAttribute('aria-pressed', String(shot.flag === 'picked'));
    at('large-reject').setAttribute('aria-pressed', String(shot.flag === 'rejected'));
    at('large-compare').setAttribute('aria-pressed', String(this.#held !== null));
  }

  #fill(figure: string, { shot, mean }: Seen): void {
    const picture = at(figure).querySelector('img')!;
    const flag = shot.flag === '' ? '' : ` · ${FLAGS[shot.flag]}`;
    say(at(figure).querySelector('figcaption')!, `${shot.name} · ${mean.toFixed(2)}${flag}`);
    if (picture.dataset['key'] === shot.key && this.#addresses.has(picture)) return;
    const show = (source: Blob): void => {
      URL.revokeObjectURL(this.#addresses.get(picture) ?? '');
      this.#addresses.set(picture, (picture.src = URL.createObjectURL(source)));
    };
    picture.dataset['key'] = shot.key;
    picture.alt = shot.name;
    // A file that was moved or changed since cannot be read: its small picture can.
    picture.onerror = () => {
      picture.onerror = null;
      if (shot.thumbnail !== null) show(shot.thumbnail);
    };
    const source = shot.file ?? shot.thumbnail;
    if (source !== null) show(source);
  }
}

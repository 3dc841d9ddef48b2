/** Scored photographs, best first, each with a small picture; those without a score apart, with the reason. */

import type { ScoreRecord } from '../core/records.ts';
import { at, element, say } from './dom.ts';
import { Histogram } from './histogram.ts';

const SVG = 'http://www.w3.org/2000/svg';
const PAGE = 60;

interface Row {
  readonly mean: number;
  readonly item: HTMLLIElement;
}

/** Owns #shots and #failures. */
export class Ranking {
  readonly #rows: Row[] = [];
  readonly #addresses: string[] = [];
  #shown = PAGE;
  #drawing = 0;

  constructor() {
    at('more').addEventListener('click', () => {
      this.#shown += PAGE;
      this.#draw();
    });
  }

  add(record: ScoreRecord, thumbnail: Blob | null): void {
    if (record.mean === null || record.std === null || record.distribution === null) {
      at('failed').append(element('li', {}, element('b', {}, record.name), ` ${record.error ?? ''}`));
      at('failures').hidden = false;
      const count = at('failed').childElementCount;
      say(at('failures-said'), count === 1 ? '1 file has no score' : `${count} files have no score`);
      return;
    }
    const item = this.#item(record.name, record.mean, record.std, record.distribution, thumbnail);
    let place = this.#rows.findIndex(({ mean }) => mean < record.mean!);
    if (place < 0) place = this.#rows.length;
    this.#rows.splice(place, 0, { mean: record.mean, item });
    // Hundreds may come in a row: the list is drawn once a frame, not once a photograph.
    this.#drawing ||= requestAnimationFrame(() => this.#draw());
  }

  clear(): void {
    this.#rows.length = 0;
    for (const address of this.#addresses.splice(0)) URL.revokeObjectURL(address);
    at('failed').replaceChildren();
    at('failures').hidden = true;
    this.#shown = PAGE;
    this.#draw();
  }

  #draw(): void {
    this.#drawing = 0;
    this.#rows.forEach(({ item }, place) => say(item.querySelector('.rank')!, String(place + 1)));
    at('shots').replaceChildren(...this.#rows.slice(0, this.#shown).map(({ item }) => item));
    at('more').hidden = this.#rows.length <= this.#shown;
  }

  #item(
    name: string,
    mean: number,
    std: number,
    distribution: readonly number[],
    thumbnail: Blob | null,
  ): HTMLLIElement {
    const picture = element('img', { alt: name, loading: 'lazy', decoding: 'async' });
    if (thumbnail !== null) {
      picture.src = URL.createObjectURL(thumbnail);
      this.#addresses.push(picture.src);
    }
    const bars = document.createElementNS(SVG, 'svg');
    bars.setAttribute('viewBox', '0 0 200 74');
    bars.setAttribute('role', 'img');
    const histogram = new Histogram(bars);
    histogram.show(distribution, mean);
    histogram.describe(distribution);
    const item = element(
      'li',
      { className: 'card' },
      element('div', { className: 'picture' }, picture, element('span', { className: 'rank' })),
      element(
        'p',
        { className: 'told' },
        element('b', {}, mean.toFixed(2)),
        ' ',
        element('span', { className: 'soft' }, `± ${std.toFixed(2)}`),
      ),
      element('div', { className: 'bars' }, bars),
      element('p', { className: 'soft name', title: name }, name),
    );
    Object.assign(item.dataset, { name, mean: String(mean), std: String(std) });
    return item;
  }
}

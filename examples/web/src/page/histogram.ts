/** Ten bars for ten ratings; the one nearest the mean stands out. */

const SVG = 'http://www.w3.org/2000/svg';

function drawn(kind: string, fields: Record<string, string | number>, text = ''): SVGElement {
  const element = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(fields)) element.setAttribute(name, String(value));
  element.textContent = text;
  return element;
}

/** Draws into an svg of 200 x 74; the bars are made once, each score sets their heights. */
export class Histogram {
  readonly #svg: Element;
  readonly #bars: SVGElement[] = [];

  constructor(svg: Element) {
    this.#svg = svg;
    for (let i = 0; i < 10; i++) {
      const bar = drawn('rect', { x: 2 + 20 * i, width: 16, y: 58, height: 0, rx: 2 });
      this.#bars.push(bar);
      svg.append(bar, drawn('text', { x: 10 + 20 * i, y: 71 }, String(i + 1)));
    }
    svg.append(drawn('line', { x1: 0, x2: 200, y1: 58.5, y2: 58.5, class: 'base' }));
  }

  /** @param distribution ten proportions. */
  show(distribution: readonly number[], mean: number): void {
    const highest = Math.max(0.3, ...distribution);
    this.#bars.forEach((bar, i) => {
      const height = Math.max(0, (54 * (distribution[i] ?? 0)) / highest);
      bar.setAttribute('y', (58 - height).toFixed(2));
      bar.setAttribute('height', height.toFixed(2));
      bar.classList.toggle('near', Math.round(mean) === i + 1);
    });
  }

  /** No score: no bars. */
  clear(): void {
    this.show([], Number.NaN);
  }

  /** Words for who does not see it; set rarely, a screen reader is not to be flooded. */
  describe(distribution: readonly number[]): void {
    const parts = distribution.map((p, i) => `${i + 1}: ${Math.round(100 * p)} %`);
    this.#svg.setAttribute('aria-label', `Predicted ratings. ${parts.join(', ')}`);
  }
}

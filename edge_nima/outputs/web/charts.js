"use strict";
/* The two drawings: the histogram over the picture, and the last hour. */

const SVG = "http://www.w3.org/2000/svg";

function drawn(kind, fields, text) {
  const element = document.createElementNS(SVG, kind);
  for (const [name, value] of Object.entries(fields)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/* Ten bars, made once; each score sets their heights. */
class Histogram {
  constructor(svg) {
    this.svg = svg;
    this.bars = [];
    for (let i = 0; i < 10; i++) {
      const bar = drawn("rect", { x: 2 + 20 * i, width: 16, y: 58, height: 0, rx: 2 });
      this.bars.push(svg.appendChild(bar));
      svg.append(drawn("text", { x: 10 + 20 * i, y: 71 }, String(i + 1)));
    }
    svg.append(drawn("line", { x1: 0, x2: 200, y1: 58.5, y2: 58.5, class: "base" }));
  }

  show(distribution, mean) {
    const highest = Math.max(0.3, ...distribution);
    distribution.forEach((p, i) => {
      const height = Math.max(0.5, (54 * p) / highest);
      this.bars[i].setAttribute("y", (58 - height).toFixed(2));
      this.bars[i].setAttribute("height", height.toFixed(2));
      this.bars[i].setAttribute("class", Math.round(mean) === i + 1 ? "near" : "");
    });
  }

  /* Words for who does not see it; set rarely, a screen reader is not to be flooded. */
  describe(distribution) {
    const parts = distribution.map((p, i) => `${i + 1}: ${Math.round(100 * p)} %`);
    this.svg.setAttribute("aria-label", `Predicted ratings. ${parts.join(", ")}`);
  }
}

/* Mean and range of every ten seconds of the last hour; the pointer or the arrow keys read one step. */
class Hour {
  constructor(svg, said, empty) {
    Object.assign(this, { svg, said, empty, points: new Map(), now: 0, steps: 360, seconds: 10, chosen: null });
    new ResizeObserver(() => this.draw()).observe(svg);
    svg.addEventListener("pointermove", (event) => this.choose(this.stepAt(event.offsetX)));
    svg.addEventListener("pointerdown", (event) => this.choose(this.stepAt(event.offsetX)));
    svg.addEventListener("pointerleave", () => this.choose(null));
    svg.addEventListener("blur", () => this.choose(null));
    svg.addEventListener("keydown", (event) => this.key(event));
  }

  fill(history) {
    this.points = new Map(history.points.map((point) => [point[0], point]));
    Object.assign(this, { steps: history.steps, seconds: history.seconds, now: history.step });
    this.draw();
  }

  add(point, now) {
    this.now = now;
    if (point) this.points.set(point[0], point);
    for (const step of this.points.keys()) if (step < now - this.steps) this.points.delete(step);
    this.draw();
  }

  stepAt(x) {
    return Math.round(this.now - ((this.right - x) / (this.right - this.left)) * this.steps);
  }

  key(event) {
    const steps = [...this.points.keys()].sort((a, b) => a - b);
    const at = this.chosen === null ? steps.length : steps.indexOf(this.chosen);
    const to = { ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: steps.length - 1 }[event.key];
    if (to === undefined || !steps.length) return;
    event.preventDefault();
    this.choose(steps[Math.min(steps.length - 1, Math.max(0, to))]);
    document.getElementById("said").textContent = this.said.textContent;
  }

  choose(step) {
    let nearest = null;
    if (step !== null) {
      for (const known of this.points.keys()) {
        if (Math.abs(known - step) <= 3 && (nearest === null || Math.abs(known - step) < Math.abs(nearest - step))) nearest = known;
      }
    }
    if (nearest !== this.chosen) {
      this.chosen = nearest;
      this.draw();
    }
  }

  tell(values) {
    if (this.chosen !== null && this.points.has(this.chosen)) {
      const [step, low, mean, high] = this.points.get(this.chosen);
      const at = new Date(Date.now() - (this.now - step) * this.seconds * 1000);
      this.said.textContent = `${at.toLocaleTimeString()} · ${mean.toFixed(2)} (${low.toFixed(1)} to ${high.toFixed(1)})`;
      return;
    }
    const count = values.reduce((sum, point) => sum + point[4], 0);
    const mean = values.reduce((sum, point) => sum + point[2] * point[4], 0) / Math.max(1, count);
    const low = Math.min(...values.map((point) => point[1]));
    const high = Math.max(...values.map((point) => point[3]));
    this.said.textContent = count ? `mean ${mean.toFixed(2)}, ${low.toFixed(1)} to ${high.toFixed(1)}` : "";
    this.svg.setAttribute("aria-label", `Scores of the last hour: ${this.said.textContent}. Arrow keys read single steps.`);
  }

  draw() {
    const width = this.svg.clientWidth, height = this.svg.clientHeight;
    const values = [...this.points.values()].sort((a, b) => a[0] - b[0]);
    this.tell(values);
    this.empty.hidden = values.length > 0;
    this.svg.toggleAttribute("hidden", values.length === 0);
    if (!width || !values.length) return;
    Object.assign(this, { left: 26, right: width - 6 });
    let low = Math.floor(2 * Math.min(...values.map((point) => point[1]))) / 2;
    let high = Math.ceil(2 * Math.max(...values.map((point) => point[3]))) / 2;
    if (high - low < 1) [low, high] = [Math.max(1, low - 0.5), Math.min(10, high + 0.5)];
    const top = 8, bottom = height - 20;
    const x = (step) => this.right - ((this.now - step) / this.steps) * (this.right - this.left);
    const y = (score) => bottom - ((score - low) / (high - low)) * (bottom - top);
    const parts = [];
    const every = high - low > 4 ? 2 : high - low > 1.5 ? 1 : 0.5;
    for (let score = Math.ceil(low / every) * every; score <= high; score += every) {
      parts.push(drawn("line", { x1: this.left, x2: this.right, y1: y(score), y2: y(score), class: "grid" }));
      parts.push(drawn("text", { x: this.left - 5, y: y(score) + 4, "text-anchor": "end" }, every < 1 ? score.toFixed(1) : score));
    }
    for (const minutes of width < 400 ? [60, 30, 0] : [60, 45, 30, 15, 0]) {
      const at = x(this.now - (minutes * 60) / this.seconds);
      const anchor = minutes === 60 ? "start" : minutes === 0 ? "end" : "middle";
      parts.push(drawn("text", { x: at, y: height - 4, "text-anchor": anchor }, minutes ? `−${minutes} min` : "now"));
    }
    for (const run of runs(values)) {
      const xs = run.map((point) => Math.max(this.left, x(point[0] + 0.5)).toFixed(1));
      const upper = run.map((point, i) => `${xs[i]},${y(point[3]).toFixed(1)}`);
      const lower = run.map((point, i) => `${xs[i]},${y(point[1]).toFixed(1)}`).reverse();
      parts.push(drawn("path", { d: `M${[...upper, ...lower].join("L")}Z`, class: "range" }));
      const line = run.map((point, i) => `${xs[i]},${y(point[2]).toFixed(1)}`);
      parts.push(drawn("path", { d: `M${line.join("L")}${run.length === 1 ? "h.1" : ""}`, class: "mean-line" }));
    }
    const chosen = this.points.get(this.chosen);
    if (chosen) {
      const at = x(chosen[0] + 0.5);
      parts.push(drawn("line", { x1: at, x2: at, y1: top, y2: bottom, class: "at" }));
      parts.push(drawn("circle", { cx: at, cy: y(chosen[2]), r: 4.5, class: "dot" }));
    }
    this.svg.replaceChildren(...parts);
  }
}

/* Points without a gap of more than half a minute: nothing is drawn where nothing was seen. */
function runs(values) {
  const found = [];
  for (const point of values) {
    const last = found.at(-1);
    if (last && point[0] - last.at(-1)[0] <= 3) last.push(point);
    else found.push([point]);
  }
  return found;
}

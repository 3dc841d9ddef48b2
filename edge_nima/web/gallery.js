"use strict";
/* The kept photographs: the list, one opened, and deleting with a question first. */

const STEP = 24;

function element(kind, fields, ...children) {
  const made = Object.assign(document.createElement(kind), fields);
  made.append(...children);
  return made;
}

function when(seconds) {
  const at = new Date(seconds * 1000), year = at.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" };
  return at.toLocaleString([], { ...year, month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
}

function bytes(n) {
  const unit = n >= 1e9 ? [1e9, "GB"] : n >= 1e6 ? [1e6, "MB"] : [1e3, "kB"];
  const value = n / unit[0];
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${unit[1]}`;
}

class Gallery {
  constructor(say) {
    Object.assign(this, { say, csrf: "", order: "best", limit: STEP, shots: [], cards: new Map(), loading: null, again: false });
    this.at = (id) => document.getElementById(id);
    for (const button of document.querySelectorAll("[data-order]")) {
      button.addEventListener("click", () => this.sort(button.dataset.order));
    }
    this.at("more").addEventListener("click", () => { this.limit += STEP; this.load(); });
    this.at("viewer-close").addEventListener("click", () => this.at("viewer").close());
    this.at("viewer-before").addEventListener("click", () => this.step(-1));
    this.at("viewer-after").addEventListener("click", () => this.step(1));
    this.at("viewer-delete").addEventListener("click", () => this.ask(this.opened));
    this.at("viewer").addEventListener("keydown", (event) => {
      if (event.key === "ArrowLeft") this.step(-1);
      if (event.key === "ArrowRight") this.step(1);
    });
    for (const dialog of [this.at("viewer"), this.at("ask")]) {
      dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    }
    this.at("ask-no").addEventListener("click", () => this.at("ask").close());
    this.at("ask-yes").addEventListener("click", () => this.remove());
  }

  sort(order) {
    this.order = order;
    this.limit = STEP;
    for (const button of document.querySelectorAll("[data-order]")) {
      button.setAttribute("aria-pressed", String(button.dataset.order === order));
    }
    this.load();
  }

  /* One request at a time; what changes meanwhile is fetched after it. */
  async load() {
    this.again = true;
    if (this.loading) return;
    this.loading = true;
    try {
      while (this.again) {
        this.again = false;
        const answer = await fetch(`/shots?order=${this.order}&limit=${this.limit}`);
        if (answer.ok) this.show(await answer.json());
      }
    } catch {
      /* The page says that the connection is lost, and loads again when it is back. */
    } finally {
      this.loading = false;
    }
  }

  show({ total, bytes: size, shots }) {
    this.shots = shots;
    const cards = new Map();
    for (const shot of shots) cards.set(shot.name, this.cards.get(shot.name) ?? this.card(shot));
    this.cards = cards;
    const list = this.at("shots");
    const focused = document.activeElement;
    const wanted = [...cards.values()];
    if (wanted.length !== list.children.length || wanted.some((card, i) => list.children[i] !== card)) {
      list.replaceChildren(...wanted);
      if (focused && list.contains(focused)) focused.focus();
    }
    this.at("gallery-said").textContent = total ? `${total.toLocaleString()}, ${bytes(size)}` : "";
    this.at("shots-empty").hidden = total > 0;
    this.at("more").hidden = shots.length >= total;
  }

  card(shot) {
    const address = encodeURIComponent(shot.name);
    const described = `Photograph of ${when(shot.taken_at)}, score ${shot.mean.toFixed(2)}`;
    const picture = element("img", { src: `/thumbnails/${address}`, alt: described, loading: "lazy", decoding: "async" });
    const open = element("button", { className: "open", onclick: () => this.open(shot) }, picture);
    open.setAttribute("aria-label", `Open: ${described}`);
    const stars = element("span", { className: "stars" }, "★".repeat(shot.rating) + "☆".repeat(5 - shot.rating));
    stars.setAttribute("role", "img");
    stars.setAttribute("aria-label", `${shot.rating} of 5 stars`);
    const download = element("a", { className: "button", href: `/shots/${address}?download`, download: shot.name }, "Download");
    const remove = element("button", { className: "danger", onclick: () => this.ask(shot) }, "Delete");
    for (const control of [download, remove]) control.setAttribute("aria-label", `${control.textContent} the ${described.toLowerCase()}`);
    return element("li", { className: "card" }, open,
      element("div", { className: "told" }, element("b", {}, shot.mean.toFixed(2)), stars,
        element("span", { className: "soft when" }, when(shot.taken_at))),
      element("div", { className: "does" }, download, remove));
  }

  open(shot) {
    this.opened = shot;
    const address = encodeURIComponent(shot.name);
    this.at("viewer-picture").src = `/thumbnails/${address}?side=1280`;
    this.at("viewer-picture").alt = `Photograph of ${when(shot.taken_at)}`;
    this.at("viewer-title").textContent = `${shot.mean.toFixed(2)}  ${"★".repeat(shot.rating)}${"☆".repeat(5 - shot.rating)}`;
    const camera = shot.camera === this.at("camera").textContent ? "" : ` · ${shot.camera}`;
    this.at("viewer-said").textContent = `${when(shot.taken_at)} · ${bytes(shot.size)}${camera}`;
    this.at("viewer-download").href = `/shots/${address}?download`;
    this.at("viewer-download").download = shot.name;
    const at = this.shots.findIndex((other) => other.name === shot.name);
    this.at("viewer-before").disabled = at <= 0;
    this.at("viewer-after").disabled = at < 0 || at >= this.shots.length - 1;
    if (!this.at("viewer").open) this.at("viewer").showModal();
  }

  step(by) {
    const at = this.shots.findIndex((shot) => shot.name === this.opened.name);
    const next = at < 0 ? undefined : this.shots[at + by];
    if (next) this.open(next);
  }

  ask(shot) {
    this.asked = shot;
    this.at("ask-text").textContent = `Taken ${when(shot.taken_at)}, score ${shot.mean.toFixed(2)}. The file is removed from the camera for good.`;
    this.at("ask-wrong").textContent = "";
    this.at("ask-yes").disabled = false;
    this.at("ask").showModal();
  }

  async remove() {
    this.at("ask-yes").disabled = true;
    let wrong = "";
    try {
      const answer = await fetch(`/shots/${encodeURIComponent(this.asked.name)}`, { method: "DELETE", headers: { "X-Edge-Nima-CSRF": this.csrf } });
      if (!answer.ok && answer.status !== 404) wrong = (await answer.text()).trim();
    } catch {
      wrong = "There is no connection to the camera; nothing was deleted.";
    }
    this.at("ask-wrong").textContent = wrong;
    this.at("ask-yes").disabled = false;
    if (wrong) return;
    this.at("ask").close();
    this.at("viewer").close();
    this.say("Photograph deleted");
    await this.load();
    if (document.activeElement === document.body) this.at("shots").querySelector(".open")?.focus();
  }
}

"use strict";
/* The kept photographs: the list and its filters, one opened, several selected, and deleting with a question first. */

const STEP = matchMedia("(max-width: 34rem)").matches ? 8 : 24; /* On a phone the numbers come after them. */
const HEART = "M12 20.5C5 15.5 2.5 12 2.5 8.5A5 5 0 0 1 12 6.3 5 5 0 0 1 21.5 8.5C21.5 12 19 15.5 12 20.5Z";

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

const stars = (n) => "★".repeat(n) + "☆".repeat(5 - n);
const several = (n) => (n === 1 ? "1 photograph" : `${n.toLocaleString()} photographs`);
const addressOf = (shot) => `shots/${encodeURIComponent(shot.name)}`;
const described = (shot) => `Photograph of ${when(shot.taken_at)}, score ${shot.mean.toFixed(2)}`;

class Gallery {
  constructor(say) {
    Object.assign(this, { say, csrf: "", cameras: [], limit: STEP, shots: [], cards: new Map(), selected: new Set(), loading: false, again: false, held: 0, changes: 0 });
    this.at = (id) => document.getElementById(id);
    for (const id of ["order", "by-camera", "by-day", "by-stars"]) this.at(id).addEventListener("change", () => this.filter());
    this.at("by-favourite").addEventListener("click", () => { this.press("by-favourite", !this.pressed("by-favourite")); this.filter(); });
    this.at("selecting").addEventListener("click", () => this.select(!this.pressed("selecting")));
    this.at("more").addEventListener("click", () => { this.limit += 24; this.load(); });
    this.at("bar-all").addEventListener("click", () => this.selectAll());
    this.at("bar-favourite").addEventListener("click", () => this.favourite(this.chosen(), !this.chosen().every((shot) => shot.favourite)));
    this.at("bar-download").addEventListener("click", () => this.download(this.chosen()));
    this.at("bar-delete").addEventListener("click", () => this.ask(this.chosen()));
    this.at("viewer-close").addEventListener("click", () => this.at("viewer").close());
    this.at("viewer-before").addEventListener("click", () => this.step(-1));
    this.at("viewer-after").addEventListener("click", () => this.step(1));
    this.at("viewer-favourite").addEventListener("click", () => this.favourite([this.opened], !this.opened.favourite));
    this.at("viewer-delete").addEventListener("click", () => this.ask([this.opened]));
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

  pressed(id) { return this.at(id).getAttribute("aria-pressed") === "true"; }

  press(id, on) { this.at(id).setAttribute("aria-pressed", String(on)); }

  setCameras(cameras) {
    this.cameras = cameras;
    this.options("by-camera", "All cameras", cameras.map((camera) => [camera, camera]));
    this.at("by-camera").hidden = cameras.length < 2;
  }

  options(id, all, values) {
    const list = this.at(id), chosen = list.value;
    if (list.dataset.values === JSON.stringify(values)) return;
    list.dataset.values = JSON.stringify(values);
    list.replaceChildren(element("option", { value: "" }, all), ...values.map(([value, text]) => element("option", { value }, text)));
    list.value = values.some(([value]) => value === chosen) ? chosen : "";
  }

  get filtered() {
    return this.at("by-camera").value || this.at("by-day").value || this.at("by-stars").value || this.pressed("by-favourite");
  }

  filter() {
    this.limit = STEP;
    this.selected.clear();
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
        const asked = new URLSearchParams({ order: this.at("order").value, limit: this.limit });
        for (const [key, id] of [["camera", "by-camera"], ["day", "by-day"], ["stars", "by-stars"]]) if (this.at(id).value) asked.set(key, this.at(id).value);
        if (this.pressed("by-favourite")) asked.set("favourites", "");
        const changes = this.changes, answer = await fetch(`shots?${asked}`);
        const told = answer.ok ? await answer.json() : null;
        if (told && !this.held && changes === this.changes) this.show(told);
      }
    } catch {
      /* The page says that the connection is lost, and loads again when it is back. */
    } finally {
      this.loading = false;
    }
  }

  show({ total, bytes: size, days, shots }) {
    const cards = new Map();
    for (const told of shots) cards.set(told.name, this.cards.get(told.name) ?? this.card(told));
    for (const told of shots) cards.get(told.name).update(told);
    this.cards = cards;
    this.shots = [...cards.values()].map((card) => card.shot);
    this.selected = new Set(this.shots.filter((shot) => this.selected.has(shot)));
    const list = this.at("shots"), focused = document.activeElement, wanted = [...cards.values()].map((card) => card.item);
    if (wanted.length !== list.children.length || wanted.some((item, i) => list.children[i] !== item)) {
      list.replaceChildren(...wanted);
      if (focused && list.contains(focused)) focused.focus();
    }
    const named = (day) => new Date(`${day}T12:00`).toLocaleDateString([], { weekday: "short", day: "numeric", month: "short", year: "numeric" });
    this.options("by-day", "All days", [...days].sort().reverse().map((day) => [day, named(day)]));
    this.at("gallery-said").textContent = total ? `${total.toLocaleString()}, ${bytes(size)}` : "";
    this.at("shots-empty").hidden = total > 0;
    this.at("shots-empty").textContent = this.filtered ? "None fits these filters." : "Nothing kept yet. The best of each window appears here when the window ends.";
    this.at("more").hidden = shots.length >= total;
    this.tell();
  }

  card(shot) {
    const picture = element("img", { src: `thumbnails/${encodeURIComponent(shot.name)}`, alt: "", loading: "lazy", decoding: "async" });
    const open = element("button", { className: "open", onclick: () => (this.pressed("selecting") ? tick.click() : this.open(shot)) }, picture);
    const tick = element("input", { type: "checkbox", className: "tick", onchange: () => this.pick(shot, tick.checked) });
    const rated = element("span", { className: "stars" });
    rated.setAttribute("role", "img");
    const heart = element("button", { className: "heart quiet", onclick: () => this.favourite([shot], !shot.favourite) }, drawn("svg", { viewBox: "0 0 24 24", "aria-hidden": "true" }));
    heart.firstChild.append(drawn("path", { d: HEART }));
    const remove = element("button", { className: "danger", onclick: () => this.ask([shot]) }, "Delete");
    const taken = element("span", { className: "soft when" }, when(shot.taken_at));
    const item = element("li", { className: "card" }, open, tick,
      element("div", { className: "told" }, element("b", {}, shot.mean.toFixed(2)), rated, taken),
      element("div", { className: "does" }, heart, remove));
    const update = (told) => {
      Object.assign(shot, told);
      const text = described(shot);
      open.setAttribute("aria-label", `Open: ${text}`);
      tick.setAttribute("aria-label", `Select: ${text}`);
      remove.setAttribute("aria-label", `Delete: ${text}`);
      heart.setAttribute("aria-label", `Favourite: ${text}`);
      heart.setAttribute("aria-pressed", String(shot.favourite));
      rated.textContent = stars(shot.rating);
      rated.setAttribute("aria-label", `${shot.rating} of 5 stars`);
      taken.textContent = this.cameras.length > 1 ? `${when(shot.taken_at)} · ${shot.camera}` : when(shot.taken_at);
    };
    return { shot, item, tick, update };
  }

  open(shot) {
    this.opened = shot;
    this.at("viewer-picture").src = addressOf(shot);
    this.at("viewer-picture").alt = `Photograph of ${when(shot.taken_at)}`;
    this.at("viewer-title").textContent = `${shot.mean.toFixed(2)}  ${stars(shot.rating)}`;
    const camera = this.cameras.length > 1 ? ` · ${shot.camera}` : "";
    this.at("viewer-said").textContent = `${when(shot.taken_at)} · ${bytes(shot.size)}${camera}`;
    this.press("viewer-favourite", shot.favourite);
    this.at("viewer-download").href = `${addressOf(shot)}?download`;
    this.at("viewer-download").download = shot.name;
    const at = this.shots.indexOf(shot);
    this.at("viewer-before").disabled = at <= 0;
    this.at("viewer-after").disabled = at < 0 || at >= this.shots.length - 1;
    if (!this.at("viewer").open) this.at("viewer").showModal();
  }

  step(by) {
    const at = this.shots.indexOf(this.opened), next = at < 0 ? undefined : this.shots[at + by];
    if (next) this.open(next);
  }

  select(on) {
    this.press("selecting", on);
    this.at("selecting").textContent = on ? "Done" : "Select";
    this.at("bar").hidden = !on;
    this.at("gallery").toggleAttribute("data-selecting", on);
    this.selected.clear();
    this.tell();
  }

  chosen() { return this.shots.filter((shot) => this.selected.has(shot)); }

  pick(shot, on) {
    if (on) this.selected.add(shot);
    else this.selected.delete(shot);
    this.tell();
  }

  selectAll() {
    this.selected = new Set(this.selected.size < this.shots.length ? this.shots : []);
    this.tell();
  }

  tell() {
    for (const { shot, tick } of this.cards.values()) tick.checked = this.selected.has(shot);
    const chosen = this.chosen();
    this.at("bar-said").textContent = chosen.length ? `${chosen.length} selected` : "None selected";
    for (const id of ["bar-favourite", "bar-download", "bar-delete"]) this.at(id).disabled = !chosen.length;
    this.at("bar-favourite").textContent = chosen.length && chosen.every((shot) => shot.favourite) ? "No favourite" : "Favourite";
    this.at("bar-all").textContent = chosen.length && chosen.length === this.shots.length ? "None" : "All";
  }

  /* What is wrong, as a sentence; "" when it is done. */
  async send(method, address) {
    try {
      const answer = await fetch(address, { method, headers: { "X-Edge-Nima-CSRF": this.csrf } });
      this.answer = answer.ok && answer.status === 200 ? await answer.json() : null;
      return answer.ok || (answer.status === 404 && method === "DELETE") ? "" : (await answer.text()).trim();
    } catch {
      return "There is no connection to the camera; nothing was changed.";
    }
  }

  async favourite(shots, on) {
    let wrong = "";
    this.held++; /* A list that comes meanwhile has names that are not known here yet. */
    for (const shot of shots) {
      wrong = await this.send(on ? "POST" : "DELETE", `${addressOf(shot)}/favourite`);
      if (wrong) break;
      if (!this.answer) continue;
      const card = this.cards.get(shot.name);
      this.cards.delete(shot.name);
      if (card) this.cards.set(this.answer.name, card);
      card?.update(this.answer);
    }
    this.held--;
    this.changes++;
    this.say(wrong || `${several(shots.length)} ${on ? "marked as favourite" : "no longer favourite"}`);
    if (this.at("viewer").open && shots.includes(this.opened)) this.open(this.opened);
    this.tell();
    await this.load();
  }

  async download(shots) {
    for (const shot of shots) {
      element("a", { href: `${addressOf(shot)}?download`, download: shot.name }).click();
      await new Promise((done) => setTimeout(done, 400)); /* Browsers drop downloads that come at once. */
    }
  }

  ask(shots) {
    this.asked = shots;
    this.at("ask-title").textContent = shots.length === 1 ? "Delete this photograph?" : `Delete ${several(shots.length)}?`;
    const which = shots.length === 1 ? `Taken ${when(shots[0].taken_at)}, score ${shots[0].mean.toFixed(2)}. The file is` : "The files are";
    const liked = shots.filter((shot) => shot.favourite).length;
    const favourites = !liked ? "" : shots.length === 1 ? "It is a favourite. " : `Favourites among them: ${liked}. `;
    this.at("ask-text").textContent = `${favourites}${which} removed from the camera for good.`;
    this.at("ask-wrong").textContent = "";
    this.at("ask-yes").disabled = false;
    this.at("ask").showModal();
  }

  async remove() {
    this.at("ask-yes").disabled = true;
    let wrong = "";
    for (const shot of this.asked) {
      wrong = await this.send("DELETE", addressOf(shot));
      if (wrong) break;
    }
    this.at("ask-wrong").textContent = wrong;
    this.at("ask-yes").disabled = false;
    if (wrong) return;
    this.at("ask").close();
    this.at("viewer").close();
    this.say(`${several(this.asked.length)} deleted`);
    await this.load();
    if (document.activeElement === document.body) (this.at("shots").querySelector(".open") ?? this.at("selecting")).focus();
  }
}

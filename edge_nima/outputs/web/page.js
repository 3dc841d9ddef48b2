"use strict";
/* Connects, shows what comes, and says plainly when nothing does. */

const at = (id) => document.getElementById(id);
const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
const calm = matchMedia("(prefers-reduced-motion: reduce)");

const histogram = new Histogram(at("histogram"));
const hour = new Hour(at("line"), at("hour-said"), at("hour-empty"));
const gallery = new Gallery((text) => { at("said").textContent = text; });

/* What is known. `heard` and `seen` are on this browser's own clock: the camera's may be wrong. */
const now = { connection: null, told: null, status: null, camera: decodeURIComponent(location.hash.slice(1)), cameras: [], heard: 0, seen: 0, number: 0, still: -Infinity, paused: false, refused: "", tries: 0, gallery: -1, address: "" };

/* One connection: a stream of events and, beside it, one picture asked for after the other. */
class Connection {
  constructor() {
    this.over = false;
    this.abort = new AbortController();
    this.asking = new AbortController();
    this.events = new EventSource("events");
    this.events.addEventListener("hello", (event) => this.hello(JSON.parse(event.data)));
    this.events.addEventListener("status", (event) => this.status(JSON.parse(event.data)));
    this.events.addEventListener("error", () => this.lost());
  }

  hello(told) {
    if (told.version !== document.documentElement.dataset.version) return location.reload();
    Object.assign(now, { refused: "", tries: 0, number: 0, heard: performance.now(), cameras: told.cameras, gallery: told.gallery ? -1 : null });
    if (!told.cameras.includes(now.camera)) now.camera = told.cameras[0];
    gallery.csrf = told.csrf;
    gallery.setCameras(told.cameras);
    at("gallery").hidden = !told.gallery;
    at("sign-out").hidden = !told.signs_out;
    this.pictures();
    this.history();
  }

  status(told) {
    const before = now.status;
    now.heard = performance.now();
    now.told = told;
    now.status = told.cameras.find((camera) => camera.camera === now.camera) ?? null;
    if (now.gallery !== null && told.gallery !== now.gallery) {
      now.gallery = told.gallery;
      gallery.load();
    }
    if (now.status) {
      if (before?.camera === now.camera && now.status.counts.still > before.counts.still) now.still = now.heard;
      hour.add(now.status.point, now.status.step);
    }
    show();
  }

  async history() {
    const camera = now.camera;
    try {
      const answer = await fetch(`history?camera=${encodeURIComponent(camera)}`, { signal: this.abort.signal });
      if (answer.ok && camera === now.camera) hour.fill(await answer.json());
    } catch {
      this.lost();
    }
  }

  async pictures() {
    while (!this.over) {
      const camera = now.camera;
      if (now.paused) {
        await wait(0.5);
        continue;
      }
      try {
        const answer = await fetch(`live.jpg?after=${now.number}&camera=${encodeURIComponent(camera)}`, { signal: this.asking.signal });
        if (answer.status !== 204 && answer.status !== 200) return this.lost();
        const blob = await answer.blob();
        if (answer.status === 200 && !now.paused && camera === now.camera) {
          now.number = Number(answer.headers.get("X-Number"));
          await picture(blob, JSON.parse(answer.headers.get("X-Score")), Number(answer.headers.get("X-Age")));
          if (calm.matches) await wait(2);
        }
      } catch {
        if (this.over || camera === now.camera) return this.lost();
      }
    }
  }

  /* Another camera was chosen: what was asked for of the one before is not wanted any more. */
  turn() {
    this.asking.abort();
    this.asking = new AbortController();
    this.history();
  }

  end() {
    this.over = true;
    this.events.close();
    this.abort.abort();
    this.asking.abort();
    if (now.connection === this) now.connection = null;
  }

  /* Why, and then again: sooner at first, never more often than the camera can bear. */
  async lost() {
    if (this.over) return;
    this.end();
    show();
    const delay = Math.min(10, 0.5 * 2 ** now.tries++) * (0.75 + Math.random() / 2);
    try {
      const answer = await fetch("events", { signal: AbortSignal.timeout(4000) });
      if (answer.status === 401) return location.assign("login");
      now.refused = answer.status === 503 ? (await answer.text()).trim() : "";
      if (answer.ok) await answer.body.cancel();
    } catch {
      now.refused = "";
    }
    show();
    await wait(delay);
    connect();
  }
}

function connect() {
  if (!now.connection && !document.hidden) now.connection = new Connection();
}

async function picture(blob, score, age) {
  const image = at("picture"), before = now.address;
  now.address = URL.createObjectURL(blob);
  image.src = now.address;
  try {
    await image.decode();
  } catch {
    return; /* One bad picture; the next comes at once. */
  } finally {
    if (before) URL.revokeObjectURL(before);
  }
  if (image.hidden || image.dataset.shape !== `${image.naturalWidth}/${image.naturalHeight}`) {
    image.dataset.shape = `${image.naturalWidth}/${image.naturalHeight}`;
    image.parentElement.style.aspectRatio = String(Math.min(2.2, Math.max(0.8, image.naturalWidth / image.naturalHeight)));
    image.hidden = at("pause").hidden = false;
  }
  now.seen = performance.now() - 1000 * age;
  scored(score);
  look();
}

function scored(score) {
  at("score").hidden = score.mean === null;
  if (score.mean === null) return;
  at("mean").textContent = score.mean.toFixed(2);
  at("std").textContent = `± ${score.std.toFixed(2)}`;
  histogram.show(score.distribution, score.mean);
}

const STATES = { starting: "Starting", watching: "Live", lost: "Camera lost", stopped: "Stopped", offline: "No connection", full: "Full", connecting: "Connecting" };
const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString();

/* Seconds after which a picture is old. */
const expected = (status) => Math.max(5, status.usual_s ?? 5, status.fps > 0 ? 3 / status.fps : 5) + (calm.matches ? 2 : 0);

/* What is wrong with any camera, on one line. */
function problems() {
  const wrong = (now.told?.cameras ?? []).filter((camera) => camera.problem);
  return wrong.map((camera) => (now.cameras.length > 1 ? `${camera.camera}: ${camera.problem}` : camera.problem)).join(" · ");
}

/* What is true of the picture at this moment: never an old one that looks live. */
function look() {
  const quiet = (performance.now() - now.heard) / 1000, old = (performance.now() - now.seen) / 1000;
  const status = now.status, silent = status && status.usual_s === null;
  let state = "connecting", view = "waiting", why = "Waiting for the first picture";
  if (now.refused) [state, view, why] = ["full", "gone", now.refused];
  else if (now.tries > 0 || (now.heard && quiet > 5)) [state, view, why] = ["offline", "gone", "No connection to the camera. Trying again…"];
  else if (status) {
    state = status.state;
    if (state === "lost") [view, why] = ["gone", `Camera lost at ${clock(status.since)}. It is being tried again.`];
    else if (state === "stopped") [view, why] = ["gone", "The watcher has stopped."];
    else if (now.paused) [view, why] = ["paused", "Paused"];
    else if (!now.seen) why = state === "starting" ? "The camera is starting" : why;
    else if (old > expected(status) && (silent || performance.now() - now.still < 5000)) [view, why] = ["still", `${silent ? "Nothing new." : "Nothing moves."} Picture of ${clock(Date.now() / 1000 - old)}`];
    else if (old > expected(status)) [view, why] = ["gone", `No new picture for ${Math.round(old)} s`];
    else view = "live";
  }
  at("live").dataset.view = view;
  if (at("why").textContent !== why) at("why").textContent = why;
  if (at("state").dataset.state !== state || state === "connecting") {
    at("state").dataset.state = state;
    at("state").lastElementChild.textContent = STATES[state];
  }
  const problem = now.refused || (state === "offline" ? why : problems());
  at("banner").hidden = !problem;
  at("banner").classList.toggle("bad", ["offline", "lost", "full"].includes(state));
  if (at("banner").textContent !== problem) at("banner").textContent = problem;
  const mean = view === "live" && status?.last?.mean != null ? `${status.last.mean.toFixed(1)} · ` : view === "gone" ? "⚠ " : "";
  document.title = `${mean}${status?.camera ?? "edge_nima"}`;
  at("rate").textContent = status && state === "watching" ? `${status.fps.toFixed(1)} frames/s` : "";
}

function duration(seconds) {
  const days = Math.floor(seconds / 86400), hours = Math.floor(seconds / 3600) % 24, minutes = Math.floor(seconds / 60) % 60;
  if (days) return `${days} d ${hours} h`;
  return hours ? `${hours} h ${minutes} min` : minutes ? `${minutes} min` : `${Math.floor(seconds)} s`;
}

function show() {
  const status = now.status;
  look();
  if (!status) return;
  at("camera").textContent = status.camera;
  at("camera").hidden = now.cameras.length > 1;
  choices();
  at("model").textContent = status.model;
  at("uptime").textContent = `running ${duration(status.uptime_s)}`;
  if (status.last?.distribution) histogram.describe(status.last.distribution);
  tiles(status);
  counts(status.counts);
}

/* The cameras to choose from, each with what is wrong with it. */
function choices() {
  const list = at("cameras");
  list.hidden = now.cameras.length < 2;
  const texts = now.told.cameras.map(({ camera, state }) => (state === "watching" ? camera : `${camera} (${STATES[state].toLowerCase()})`));
  if (list.hidden || list.dataset.texts === JSON.stringify(texts)) return;
  list.dataset.texts = JSON.stringify(texts);
  list.replaceChildren(...now.told.cameras.map(({ camera }, i) => element("option", { value: camera, selected: camera === now.camera }, texts[i])));
}

function choose(camera) {
  Object.assign(now, { camera, number: 0, seen: 0, still: -Infinity, status: now.told.cameras.find((one) => one.camera === camera) ?? null });
  history.replaceState(null, "", `#${encodeURIComponent(camera)}`);
  at("picture").hidden = at("score").hidden = true;
  hour.fill({ points: [], steps: hour.steps, seconds: hour.seconds, step: hour.now });
  now.connection?.turn();
  show();
}

function tiles(status) {
  const health = status.health ?? {}, unknown = "not told";
  const power = health.undervoltage ? "weak" : health.undervoltage === false ? "good" : null;
  const told = [
    ["Last score", status.age_s === null ? null : status.age_s < 60 ? `${status.age_s.toFixed(1)} s` : duration(status.age_s), "ago", status.usual_s !== null && status.age_s > Math.max(10, expected(status))],
    ["Latency", status.last ? `${Math.round(status.last.age_ms)} ms` : null, "", false],
    ["Temperature", health.temperature_c == null ? null : `${Math.round(health.temperature_c)} °C`, "", health.temperature_c >= 80],
    ["Speed", health.throttled == null ? null : health.throttled ? "throttled" : "full", "", health.throttled],
    ["Power", power, "", health.undervoltage],
    ["Disk free", health.free_disk == null ? null : bytes(health.free_disk), "", health.free_disk < 2e8],
    ["Memory", health.memory == null ? null : bytes(health.memory), "", false],
    ["Restarts", String(status.counts.worker_restarts), "", status.counts.worker_restarts > 0],
    ["Viewers", String(now.told.viewers), "", false],
  ].filter(([, value]) => value !== null);
  at("health").replaceChildren(...told.map(([name, value, unit, wrong]) => element("div", { className: wrong ? "wrong" : "" },
    element("dt", {}, name), element("dd", {}, value ?? unknown, ...(unit ? [" ", element("small", {}, unit)] : [])))));
}

const COUNTS = {
  captured: "captured", scored: "scored", dropped: "dropped for newer ones", still: "left out, nothing moved", paused: "left out, not the time or too dark", recorded: "recorded", shots: "photographs kept",
  published: "messages published", damaged: "! damaged", failed: "! not scored", records_lost: "! records lost", shots_lost: "! photographs lost",
  lost: "! times the camera was lost", reconnects: "times it came back", worker_restarts: "! scorer restarts", publish_lost: "! messages lost",
};

function counts(told) {
  if (!at("counts").closest("details").open) return;
  at("counts").replaceChildren(...Object.entries(COUNTS).filter(([key]) => key in told).flatMap(([key, name]) => [
    element("dt", {}, name.replace("! ", "")),
    element("dd", { className: name.startsWith("!") && told[key] > 0 ? "wrong" : "" }, told[key].toLocaleString()),
  ]));
}

at("counts").closest("details").addEventListener("toggle", () => { if (now.status) counts(now.status.counts); });
at("pause").addEventListener("click", () => {
  now.paused = !now.paused;
  at("pause").setAttribute("aria-pressed", String(now.paused));
  if (!now.paused) now.number = 0;
  look();
});
at("cameras").addEventListener("change", () => choose(at("cameras").value));
at("sign-out").addEventListener("click", async () => {
  const answer = await fetch("logout", { method: "POST", headers: { "X-Edge-Nima-CSRF": gallery.csrf } }).catch(() => null);
  if (answer?.ok) location.assign("login");
});
/* A page that nobody sees asks for nothing: it leaves its place to others and the phone its battery. */
document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    now.connection?.end();
  } else {
    now.heard = 0;
    now.tries = 0;
    now.seen = 0; /* What stands there is from before: not live until the next one comes. */
    connect();
    look();
  }
});
addEventListener("pagehide", () => now.connection?.end());
addEventListener("pageshow", connect);
setInterval(look, 1000);
connect();

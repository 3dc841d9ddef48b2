'use strict';
const $ = (id) => document.getElementById(id);
const sheet = JSON.parse($('data').textContent);
const all = sheet.photographs;
const BIN = 0.25;
const GAP = 12;
const stackOf = new Map();
for (const stack of sheet.stacks) for (const place of stack) stackOf.set(place, stack);
const state = { view: all.length || !sheet.failed.length ? 'all' : 'failed', low: null, high: null };
let shown = [];
let columns = 1;
let cell = { width: 220, height: 250 };
let drawn = new Map();
let current = -1;
let opened = -1;

const element = (name, properties = {}, ...children) => {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
};
const source = (one) => (one.t.startsWith('data:') ? one.t : one.t && sheet.thumbnails + one.t);
const folder = (one) => sheet.folders[one.f];
const number = (value) => value.toLocaleString('en');

function bars(one) {
  const made = element('span', { className: 'bars' });
  made.setAttribute('aria-hidden', 'true');
  const top = Math.max(...one.d, 1);
  for (const share of one.d) {
    const bar = element('i');
    bar.style.height = `${(100 * share) / top}%`;
    made.append(bar);
  }
  return made;
}

// What is shown, in its order: places in `all`.

const LOWEST = Math.min(all.length, Math.max(12, Math.round(all.length / 20)));
const orders = {
  best: (a, b) => a - b,
  worst: (a, b) => b - a,
  disputed: (a, b) => all[b].s - all[a].s || a - b,
  name: (a, b) => all[a].f - all[b].f || (all[a].n < all[b].n ? -1 : 1),
};

function choose() {
  const wanted = $('search').value.trim().toLowerCase();
  const inside = $('folder').value;
  const low = state.low ?? (Number($('low').value) || -Infinity);
  const high = state.high ?? (Number($('high').value) || Infinity);
  const fits = (one) =>
    one.m >= low &&
    (state.high === null ? one.m <= high : one.m < high) &&
    (inside === '' || one.f === Number(inside)) &&
    (!wanted || one.n.toLowerCase().includes(wanted) || folder(one).toLowerCase().includes(wanted));
  let places = all.map((_, place) => place).filter((place) => fits(all[place]));
  if (state.view === 'lowest') places = places.filter((place) => place >= all.length - LOWEST);
  else if ($('stacked').checked) {
    // A stack stands where the best of those that are shown does.
    const met = new Set();
    places = places.filter((place) => {
      const stack = stackOf.get(place);
      if (stack && met.has(stack)) return false;
      if (stack) met.add(stack);
      return true;
    });
  }
  return places.sort(orders[state.view === 'lowest' ? 'worst' : $('sort').value]);
}

function refresh() {
  const failed = state.view === 'failed';
  shown = failed ? [] : choose();
  $('failures').hidden = !failed;
  $('grid').hidden = failed || !shown.length;
  $('nothing').hidden = failed || shown.length > 0;
  const filtered = state.low !== null || ['low', 'high', 'search', 'folder'].some((id) => $(id).value !== '');
  $('reset').hidden = !filtered;
  const stacked = state.view === 'all' && $('stacked').checked ? hidden() : 0;
  $('status').textContent = failed
    ? `${number(sheet.failed.length)} not scored`
    : `${number(shown.length)} of ${number(all.length)} shown` +
      (stacked ? `; ${number(stacked)} near-duplicates are under their best` : '');
  for (const button of document.querySelectorAll('[data-view]'))
    button.setAttribute('aria-pressed', String(button.dataset.view === state.view));
  for (const button of $('distribution').children)
    button.setAttribute('aria-pressed', String(state.low !== null && Number(button.dataset.low) >= state.low && Number(button.dataset.low) < state.high));
  current = Math.min(current, shown.length - 1);
  measure();
}

const hidden = () => {
  const heads = new Set(shown.map((place) => stackOf.get(place)).filter(Boolean));
  return [...heads].reduce((sum, stack) => sum + stack.length - 1, 0);
};

function reset() {
  for (const id of ['low', 'high', 'search', 'folder']) $(id).value = '';
  state.low = state.high = null;
  refresh();
}

// The grid: only what is near the window is in the page.

function measure() {
  const width = $('grid').parentElement.clientWidth - 2 * (innerWidth <= 760 ? 12 : 20);
  columns = Math.max(2, Math.floor((width + GAP) / (innerWidth <= 760 ? 172 : 232)));
  cell.width = (width - GAP * (columns - 1)) / columns;
  cell.height = Math.round(cell.width * 0.72) + 82;
  $('grid').style.height = `${Math.ceil(shown.length / columns) * (cell.height + GAP)}px`;
  for (const item of drawn.values()) item.remove();
  drawn = new Map();
  draw();
}

function draw() {
  if ($('grid').hidden) return;
  const top = -$('grid').getBoundingClientRect().top;
  const step = cell.height + GAP;
  const first = Math.max(0, Math.floor((top - 1.5 * innerHeight) / step)) * columns;
  const last = Math.min(shown.length, Math.ceil((top + 2.5 * innerHeight) / step) * columns);
  for (const [rank, item] of drawn)
    if (rank < first || rank >= last) {
      if (item.contains(document.activeElement)) continue; // where the keyboard is
      item.remove();
      drawn.delete(rank);
    }
  // In order, so that the keyboard goes through them as the eye does.
  let before = $('grid').firstChild;
  for (let rank = first; rank < last; rank++) {
    const there = drawn.get(rank);
    if (there) {
      before = there.nextSibling;
      continue;
    }
    while (before && Number(before.dataset.rank) < rank) before = before.nextSibling;
    const item = card(rank);
    drawn.set(rank, item);
    $('grid').insertBefore(item, before);
  }
}

function card(rank) {
  const place = shown[rank];
  const one = all[place];
  const stack = state.view === 'all' && $('stacked').checked ? stackOf.get(place) : undefined;
  const picture = element('span', { className: 'picture' });
  if (one.t) picture.append(element('img', { src: source(one), alt: '', decoding: 'async' }));
  const mean = one.m.toFixed(2);
  const above = `above ${Math.floor(one.p[0])} % of AVA`;
  const button = element(
    'button',
    { type: 'button', className: 'card' },
    picture,
    element('span', { className: 'line' }, element('b', { textContent: mean }), bars(one)),
    element('small', { textContent: above }),
    element('small', { textContent: one.n }),
  );
  if (stack) {
    const told = element('span', { className: 'unseen', textContent: ` near-duplicate${stack.length > 2 ? 's' : ''}` });
    button.append(element('span', { className: 'badge', textContent: `+${stack.length - 1}` }, told));
  }
  button.addEventListener('click', () => open(rank));
  button.addEventListener('focus', () => (current = rank));
  const item = element('li', {}, button);
  item.dataset.rank = rank;
  item.setAttribute('aria-posinset', rank + 1);
  item.setAttribute('aria-setsize', shown.length);
  item.style.width = `${cell.width}px`;
  item.style.height = `${cell.height}px`;
  item.style.left = `${(rank % columns) * (cell.width + GAP)}px`;
  item.style.top = `${Math.floor(rank / columns) * (cell.height + GAP)}px`;
  return item;
}

function focusOn(rank) {
  if (!shown.length) return;
  rank = Math.max(0, Math.min(shown.length - 1, rank));
  const top = $('grid').getBoundingClientRect().top + Math.floor(rank / columns) * (cell.height + GAP);
  if (top < 0 || top + cell.height > innerHeight) scrollBy(0, top - (innerHeight - cell.height) / 2);
  draw();
  drawn.get(rank)?.firstChild.focus({ preventScroll: true });
}

// The large view.

function open(rank, place = shown[rank]) {
  opened = rank;
  const one = all[place];
  const picture = $('large-picture');
  picture.onerror = () => {
    picture.onerror = null;
    picture.src = source(one);
  };
  picture.src = one.u || source(one);
  picture.alt = one.n;
  $('large-name').textContent = one.n;
  $('large-folder').textContent = sheet.folders.length > 1 ? folder(one) : '';
  $('large-mean').textContent = one.m.toFixed(3);
  $('large-std').textContent = `± ${one.s.toFixed(2)}`;
  $('large-references').replaceChildren(
    ...sheet.references.map((name, i) => element('li', { textContent: `better than ${Math.floor(one.p[i])} % of ${name}` })),
  );
  const top = Math.max(...one.d, 1);
  $('large-bars').replaceChildren(
    ...one.d.map((share, i) => {
      const bar = element('i');
      bar.style.width = `${(100 * share) / top}%`;
      return element('li', {}, element('span', { textContent: i + 1 }), bar, element('span', { textContent: `${(share / 10).toFixed(1)} %` }));
    }),
  );
  const stack = stackOf.get(place);
  $('large-stack').hidden = !stack;
  $('large-stack').replaceChildren(
    ...(stack ?? []).map((other) => {
      const button = element('button', { type: 'button' }, element('img', { src: source(all[other]), alt: '' }));
      button.setAttribute('aria-label', `${all[other].n}, mean ${all[other].m.toFixed(2)}`);
      button.setAttribute('aria-current', String(other === place));
      button.addEventListener('click', () => {
        open(rank, other);
        $('large-stack').children[stack.indexOf(other)].focus();
      });
      return button;
    }),
  );
  $('large-place').textContent = `${number(rank + 1)} of ${number(shown.length)}`;
  $('previous').disabled = rank === 0;
  $('next').disabled = rank === shown.length - 1;
  if (!$('large').open) $('large').showModal();
  for (const near of [rank - 1, rank + 1]) if (all[shown[near]]?.u) new Image().src = all[shown[near]].u;
}

const move = (rank) => rank >= 0 && rank < shown.length && open(rank);
$('large').addEventListener('close', () => focusOn(opened));
$('previous').addEventListener('click', () => move(opened - 1));
$('next').addEventListener('click', () => move(opened + 1));
$('close').addEventListener('click', () => $('large').close());
$('large').addEventListener('click', (event) => event.target === $('large') && $('large').close());
let touched = null;
const stage = document.querySelector('.stage');
stage.addEventListener('touchstart', (event) => (touched = event.touches.length === 1 ? event.touches[0].clientX : null), { passive: true });
stage.addEventListener('touchend', (event) => {
  const way = touched === null ? 0 : event.changedTouches[0].clientX - touched;
  if (Math.abs(way) > 40) move(opened + (way < 0 ? 1 : -1));
});

addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $('keys').open) return;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
  if ($('large').open) {
    if (event.key === 'Home') move(0);
    else if (event.key === 'End') move(shown.length - 1);
    else if (step) move(opened + Math.sign(step));
    else return;
    return event.preventDefault();
  }
  if (event.target.matches('input, select')) return;
  if (event.key === '/') $('search').focus();
  else if (event.key === '?') $('keys').showModal();
  else if (step && current >= 0 && event.target.matches('.card')) focusOn(current + step);
  else if (event.key === 'Home' && event.target.matches('.card')) focusOn(0);
  else if (event.key === 'End' && event.target.matches('.card')) focusOn(shown.length - 1);
  else return;
  event.preventDefault();
});

// The head: how the means are spread, views, filters, the theme.

function spread() {
  if (!all.length) return;
  const first = Math.floor(all.at(-1).m / BIN) * BIN;
  const count = Math.floor((all[0].m - first) / BIN) + 1;
  const counts = new Array(count).fill(0);
  for (const one of all) counts[Math.floor((one.m - first) / BIN)]++;
  const top = Math.max(...counts);
  counts.forEach((many, i) => {
    const low = first + i * BIN;
    const bar = element('i');
    bar.style.height = many ? `${Math.max(2, (100 * many) / top)}%` : '0';
    const told = `${low.toFixed(2)} to ${(low + BIN).toFixed(2)}: ${number(many)} photograph${many === 1 ? '' : 's'}`;
    const button = element('button', { type: 'button', title: told }, element('span', {}, bar));
    button.dataset.low = low;
    button.dataset.tick = Number.isInteger(low * (count > 16 ? 1 : 2)) ? low : '';
    button.setAttribute('aria-label', told);
    button.addEventListener('click', (event) => {
      const range = [low, low + BIN];
      if (event.shiftKey && state.low !== null) range.splice(0, 2, Math.min(low, state.low), Math.max(low + BIN, state.high));
      const same = state.low === range[0] && state.high === range[1];
      [state.low, state.high] = same ? [null, null] : range;
      $('low').value = $('high').value = '';
      refresh();
    });
    $('distribution').append(button);
  });
}

for (const button of document.querySelectorAll('[data-view]'))
  button.addEventListener('click', () => {
    state.view = button.dataset.view;
    refresh();
  });
for (const id of ['low', 'high'])
  $(id).addEventListener('input', () => {
    state.low = state.high = null;
    refresh();
  });
for (const id of ['sort', 'folder', 'search', 'stacked']) $(id).addEventListener('input', refresh);
$('tools').addEventListener('submit', (event) => event.preventDefault());
$('reset').addEventListener('click', reset);
$('nothing').querySelector('button').addEventListener('click', reset);
$('help').addEventListener('click', () => $('keys').showModal());

const stored = (value) => {
  try {
    if (value) localStorage.setItem('edge-nima-theme', value);
    return localStorage.getItem('edge-nima-theme');
  } catch {
    return null; // a browser that keeps nothing for files
  }
};
$('theme').addEventListener('click', () => {
  const dark = document.documentElement.dataset.theme ?? (matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light');
  document.documentElement.dataset.theme = dark === 'dark' ? 'light' : 'dark';
  stored(document.documentElement.dataset.theme);
});
if (stored()) document.documentElement.dataset.theme = stored();

let asked = false;
addEventListener('scroll', () => {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}, { passive: true });
let wide = 0;
new ResizeObserver(([entry]) => {
  if (entry.contentRect.width !== wide) {
    wide = entry.contentRect.width;
    measure();
  }
}).observe($('grid').parentElement);
spread();
refresh();

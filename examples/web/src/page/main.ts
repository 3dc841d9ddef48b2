/** Puts the page together: the model, the two views, what is dropped, what goes wrong. */

import { CameraView } from './camera.ts';
import { at, say } from './dom.ts';
import { dropped, modelOf, type Named } from './dropped.ts';
import { ModelPanel } from './model_panel.ts';
import { keepOffline, startOffline } from './offline.ts';
import { PhotographsView } from './photographs.ts';
import { Scoring } from './scoring.ts';
import { tabs } from './tabs.ts';
import { wasmFiles } from './wasm_files.ts';

const root = document.documentElement;
const SAID = { loading: 'Checking', ready: 'Ready', rejected: 'No model', insecure: 'Needs HTTPS' };

function state(is: keyof typeof SAID, text: string = SAID[is]): void {
  root.dataset['state'] = at('state').dataset['state'] = is;
  say(at('state-text'), text);
}

/** Something the person should know, though the page goes on. */
let notice = '';

function problem(text: string, todo = ''): void {
  at('problem').hidden = text === '';
  at('problem-again').hidden = todo === '';
  say(at('problem-again'), todo);
  say(at('problem-text'), text);
}

function show(): void {
  const now = scoring.state;
  state(now.is);
  root.dataset['backend'] = scoring.engine?.backend ?? '';
  const work = now.is === 'loading' ? now.what : now.is === 'ready' ? now.beside : '';
  if (work !== '') say(at('state-text'), /\d+ %/.exec(work)?.[0] ?? SAID.loading);
  camera.waits(now.is === 'loading' ? now.what : now.is === 'rejected' ? 'No model, no score' : '');
  if (now.is === 'rejected') problem(now.why, now.retry ? 'Try again' : 'Use the default model');
  else problem(notice);
  panel.show();
  camera.ready(now.is === 'ready');
  photographs.ready(now.is === 'ready');
  if (now.is === 'ready') ready();
}

let kept = '';

function ready(): void {
  if (performance.getEntriesByName('edge-nima:ready').length === 0) performance.mark('edge-nima:ready');
  const { backend } = scoring.engine!;
  const files = wasmFiles(backend, scoring.can!);
  if (panel.file !== null) files.push(panel.file);
  if (offline !== '' || kept === files.join()) return;
  kept = files.join();
  void keepOffline(files).then((wrong) => {
    root.dataset['offline'] = wrong === '' ? 'ready' : 'no';
    say(at('version'), wrong === '' ? 'Works offline' : `Not kept for offline use: ${wrong}`);
  });
}

function take(files: readonly Named[]): void {
  if (files.length === 0) return;
  const model = modelOf(files);
  if (model !== null) return void panel.open(model);
  views.show('photographs');
  photographs.add(files);
}

const scoring = new Scoring(new URL(`wasm/${__LITERT_VERSION__}/`, document.baseURI).href, show);
const tell = (text: string): void => {
  notice = text;
  show();
};
const panel = new ModelPanel(scoring, tell);
const camera = new CameraView(scoring);
const photographs = new PhotographsView(scoring, tell);
const views = tabs((tab) => camera.shown(tab === 'camera'));

let inside = 0;
document.addEventListener('dragenter', (event) => {
  if (!event.dataTransfer?.types.includes('Files')) return;
  inside++;
  at('target').hidden = false;
});
document.addEventListener('dragleave', () => {
  inside = Math.max(0, inside - 1);
  if (inside === 0) at('target').hidden = true;
});
document.addEventListener('dragover', (event) => event.preventDefault());
document.addEventListener('drop', (event) => {
  event.preventDefault();
  inside = 0;
  at('target').hidden = true;
  if (event.dataTransfer !== null) void dropped(event.dataTransfer).then(take);
});
addEventListener('pagehide', () => camera.shown(false));
window.addEventListener('pageshow', (event: PageTransitionEvent) => {
  if (event.persisted) camera.shown(!at('camera').hidden); // the browser kept the page as it was left
});
at('problem-again').addEventListener('click', () => void panel.again());

let offline = 'not yet';
if (isSecureContext) {
  offline = await startOffline();
  if (offline !== '') {
    root.dataset['offline'] = 'no';
    say(at('version'), `Needs the network: ${offline}`);
  }
  await panel.start();
} else {
  state('insecure');
  problem(
    'This page was opened over plain HTTP, where browsers give neither a camera nor the checksums by which the model ' +
      'is proven. Open it over HTTPS: on the desktop type edge-nima phone, it prints the address.',
  );
}

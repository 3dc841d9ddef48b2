/** Photographs: a queue scored one at a time, and the list of them, best first. */

import { describe } from '../core/card.ts';
import { type FileStamp, label, type ScoreRecord, toCsv, toJsonLines } from '../core/records.ts';
import type { PhotographScore } from '../engine/protocol.ts';
import { at, say } from './dom.ts';
import { type Named, photographsOf, picked } from './dropped.ts';
import { Ranking } from './ranking.ts';
import { download, stamp } from './saving.ts';
import type { Scoring } from './scoring.ts';

/** Owns #photographs. */
export class PhotographsView {
  readonly #scoring: Scoring;
  readonly #ranking = new Ranking();
  readonly #items: [ScoreRecord, FileStamp][] = [];
  readonly #queue: Named[] = [];
  #done = 0;
  #running = false;
  #cancelled = false;

  constructor(scoring: Scoring) {
    this.#scoring = scoring;
    for (const [button, input] of [
      ['choose', 'files'],
      ['choose-folder', 'folder'],
    ] as const) {
      const files = at(input, HTMLInputElement);
      at(button).addEventListener('click', () => files.click());
      files.addEventListener('change', () => {
        this.add(picked(files.files));
        files.value = ''; // so that the same ones can be chosen again
      });
    }
    at('choose-folder').hidden = !('webkitdirectory' in HTMLInputElement.prototype);
    at('cancel').addEventListener('click', () => (this.#cancelled = true));
    at('clear').addEventListener('click', () => this.#clear());
    at('export-csv').addEventListener('click', () => this.#export('csv', toCsv(this.#items), 'text/csv'));
    at('export-jsonl').addEventListener('click', () => {
      this.#export('jsonl', toJsonLines(this.#items), 'application/jsonl');
    });
  }

  /** The model is ready, or no longer. */
  ready(is: boolean): void {
    for (const id of ['choose', 'choose-folder']) at(id, HTMLButtonElement).disabled = !is;
    if (is) void this.#run();
  }

  /** Put files at the end of the queue. */
  add(files: readonly Named[]): void {
    const photographs = photographsOf(files);
    if (photographs.length === 0) {
      const possible = 'Possible: JPEG, PNG, WebP, GIF, BMP, AVIF.';
      if (files.length > 0) say(at('drop-said'), `No photographs among these files. ${possible}`);
      return;
    }
    this.#queue.push(...photographs);
    void this.#run();
  }

  async #run(): Promise<void> {
    if (this.#running || this.#queue.length === 0 || this.#scoring.state.is !== 'ready') return;
    this.#running = true;
    this.#cancelled = false;
    at('working').hidden = false;
    this.#progress();
    while (this.#queue.length > 0 && !this.#cancelled) {
      const next = this.#queue[0]!;
      const score = await this.#score(next);
      if (score === null) break; // no backend, or another model is being opened: `ready` goes on
      if (this.#cancelled) break;
      this.#queue.shift();
      this.#done++;
      // A browser knows milliseconds, the command line's stamps are nanoseconds.
      this.#items.push([score.record, { size: next.file.size, mtime_ns: BigInt(next.file.lastModified) * 1_000_000n }]);
      this.#ranking.add(score.record, score.thumbnail);
      this.#progress();
    }
    this.#running = false;
    if (this.#cancelled) this.#queue.length = 0;
    if (this.#queue.length > 0) return;
    at('working').hidden = true;
    say(at('said'), `Done: ${at('results-said').textContent}`);
    this.#done = 0;
  }

  /** A photograph that breaks a backend is tried on the one that follows; when that breaks too, it is to blame. */
  async #score(next: Named): Promise<PhotographScore | null> {
    let problem = '';
    for (let tries = 0; tries < 2; tries++) {
      try {
        return await this.#scoring.ask('photograph', next);
      } catch (error) {
        if (this.#scoring.state.is !== 'ready') return null;
        problem = (error as Error).message;
      }
    }
    const { card, sha256 } = this.#scoring;
    const error = `the scorer broke on it twice (${problem}): score it with edge-nima score`;
    const none = { mean: null, std: null, distribution: null, elapsed_ms: 0, error };
    const record = {
      name: next.name,
      model: label(card!, sha256),
      preprocessing: describe(card!.preprocessing),
      ...none,
    };
    return { record, thumbnail: null };
  }

  #progress(): void {
    const of = this.#done + this.#queue.length;
    say(at('working-said'), `${this.#done} of ${of}`);
    Object.assign(at('progress', HTMLProgressElement), { max: of, value: this.#done });
    at('results').hidden = this.#items.length === 0;
    const failed = this.#items.filter(([{ error }]) => error !== null).length;
    const scored = this.#items.length - failed;
    say(at('results-said'), `${scored} scored${failed > 0 ? `, ${failed} not` : ''}`);
  }

  #clear(): void {
    this.#cancelled = true;
    this.#items.length = 0;
    this.#ranking.clear();
    at('results').hidden = true;
    at('choose').focus();
  }

  #export(ending: string, text: string, type: string): void {
    download(new Blob([text], { type }), `edge-nima-${stamp()}.${ending}`);
  }
}

/** The list of photographs: scored one at a time, always by one model, and kept over a reload. */

import { clear, createStore, set, values } from 'idb-keyval';

import { describe } from '../core/card.ts';
import type { FileStamp, ScoreRecord } from '../core/records.ts';
import type { PhotographScore } from '../engine/protocol.ts';
import { type Hash, hashOf } from './alike.ts';
import type { Named } from './dropped.ts';
import type { Model, Scoring } from './scoring.ts';

export type Flag = 'picked' | 'rejected' | '';

/** A photograph of the list. Kept over a reload with its small picture; the file itself is not. */
export interface Shot {
  /** Path, size and time of the file. */
  readonly key: string;
  /** The path; with a number where another has the same. */
  readonly name: string;
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
  /** Null after a reload, until the same file is chosen again. */
  file: File | null;
  thumbnail: Blob | null;
  hash: Hash | null;
  flag: Flag;
  /** Chosen again: when it has no score, it is tried again. */
  again: boolean;
  /** By each model that scored it. */
  records: Readonly<Record<string, ScoreRecord>>;
}

const STORE = createStore('edge-nima-photographs', 'shots');

/** `changed` is told whenever anything that is public here is another, `kept` why results are not kept. */
export class PhotographList {
  /** In the order in which they came. */
  readonly shots = new Map<string, Shot>();
  /** The model whose scores the list shows, as in its records; "" at first. */
  model = '';
  /** Photographs scored since the queue was last empty. */
  done = 0;
  readonly #scoring: Scoring;
  readonly #changed: () => void;
  readonly #notKept: (why: string) => void;
  readonly #restored: Promise<void>;
  #running = false;
  /** The model of the queue that was stopped. */
  #stopped: string | null = null;

  constructor(scoring: Scoring, changed: () => void, notKept: (why: string) => void) {
    this.#scoring = scoring;
    this.#changed = changed;
    this.#notKept = notKept;
    this.#restored = this.#restore();
  }

  /** Those with a record of the model that is shown. */
  get listed(): [Shot, ScoreRecord][] {
    return [...this.shots.values()].flatMap((shot): [Shot, ScoreRecord][] => {
      const record = shot.records[this.model];
      return record === undefined ? [] : [[shot, record]];
    });
  }

  /** Those that the model at work has not scored, and could. */
  get pending(): Shot[] {
    const by = this.#at?.label ?? this.model;
    return [...this.shots.values()].filter(({ file, records, again }) => {
      const record = records[by];
      return file !== null && (record === undefined || (again && record.error !== null));
    });
  }

  /** Whether what is pending waits for the user. */
  get stopped(): boolean {
    return this.#stopped !== null && this.#stopped === this.#at?.label;
  }

  /** Add files; those that are here already are the same photographs, and those that failed are tried again. */
  async add(files: readonly Named[]): Promise<void> {
    await this.#restored;
    const names = new Set(Array.from(this.shots.values(), ({ name }) => name));
    for (const { file, name } of files) {
      const { size, lastModified: modified } = file;
      const key = JSON.stringify([name, size, modified]);
      const known = this.shots.get(key);
      if (known !== undefined) {
        known.file = file;
        known.again = true;
        continue;
      }
      const free = unique(name, names);
      names.add(free);
      const nothing = { thumbnail: null, hash: null, flag: '', again: false, records: {} } as const;
      this.shots.set(key, { key, name: free, size, modified, file, ...nothing });
    }
    await this.go();
  }

  /** Score what is pending, also after `stop`. */
  async go(): Promise<void> {
    this.#stopped = null;
    this.#changed(); // at once, also while the photograph at which it was stopped is still scored
    await this.run();
  }

  /** Score what is pending, unless it was stopped. */
  async run(): Promise<void> {
    await this.#restored;
    if (this.#running) return;
    this.#running = true;
    try {
      while (!this.stopped && this.#at !== null) {
        const [next] = this.pending;
        if (next === undefined) break;
        this.#settle();
        const score = await this.#score(next.file!, next.name);
        if (score === null) break; // no backend: `run` is called again when there is one
        await this.#take(next, score);
      }
    } finally {
      this.#running = false;
    }
    this.#settle();
  }

  /** Leave out what was never scored; the list stays as it is. */
  stop(): void {
    for (const [key, { records }] of this.shots) if (Object.keys(records).length === 0) this.shots.delete(key);
    this.#stopped = this.#at?.label ?? null;
    this.#settle();
  }

  clear(): void {
    this.shots.clear();
    this.model = '';
    this.#settle();
    void this.#kept(() => clear(STORE));
  }

  flag(shot: Shot, flag: Flag): void {
    shot.flag = flag;
    void this.#keep(shot);
    this.#changed();
  }

  get #at(): Model | null {
    return this.#scoring.work?.model ?? null;
  }

  /** The list goes over to the model at work when nothing is left to score: until then it shows the old scores. */
  #settle(): void {
    const at = this.#at?.label;
    const { pending } = this;
    if (at !== undefined && at !== this.model) {
      const all = [...this.shots.values()];
      const scored = all.filter(({ records }) => records[at] !== undefined);
      const here = pending.length === 0 && scored.some(({ file }) => file !== null);
      if (this.listed.length === 0 || here || (all.length > 0 && scored.length === all.length)) {
        this.model = at;
      }
    }
    if (pending.length === 0 || this.stopped) this.done = 0;
    this.#changed();
  }

  async #take(shot: Shot, { record, thumbnail }: PhotographScore): Promise<void> {
    if (thumbnail !== null && shot.thumbnail === null) {
      shot.hash = await hashOf(thumbnail);
      shot.thumbnail = thumbnail;
    }
    if (this.shots.get(shot.key) !== shot) return; // cleared or stopped meanwhile
    shot.records = { ...shot.records, [record.model]: record };
    shot.again = false;
    this.done++;
    await this.#keep(shot);
  }

  /** A photograph that breaks a backend is tried on the one that follows; when that breaks too, it is to blame. */
  async #score(file: File, name: string): Promise<PhotographScore | null> {
    let problem = '';
    for (let tries = 0; tries < 2; tries++) {
      try {
        return await this.#scoring.ask('photograph', { file, name });
      } catch (error) {
        if (this.#at === null) return null;
        problem = (error as Error).message;
      }
    }
    const { label: model, card } = this.#at!;
    const error = `the scorer broke on it twice (${problem}): score it with edge-nima score`;
    const preprocessing = describe(card.preprocessing);
    const record = { name, model, preprocessing, mean: null, std: null, distribution: null, elapsed_ms: 0, error };
    return { record, thumbnail: null };
  }

  async #restore(): Promise<void> {
    try {
      for (const shot of await values<Shot>(STORE)) this.shots.set(shot.key, shot);
    } catch {
      return; // private windows of some browsers have no storage; it is said when something is to be kept
    }
    const models = [...this.shots.values()].flatMap(({ records }) => Object.keys(records));
    const times = (model: string): number => models.filter((each) => each === model).length;
    this.model = [...new Set(models)].sort((a, b) => times(b) - times(a))[0] ?? '';
    this.#settle();
  }

  async #keep(shot: Shot): Promise<void> {
    await this.#kept(() => set(shot.key, { ...shot, file: null }, STORE));
  }

  async #kept(write: () => Promise<void>): Promise<void> {
    try {
      await write();
    } catch (error) {
      const full = error instanceof DOMException && error.name === 'QuotaExceededError';
      const why = full ? "this browser's storage is full" : String(error);
      this.#notKept(`The list of photographs is not kept over a reload: ${why}. Save it before you leave.`);
    }
  }
}

/** Size and time of the file as in records: a browser knows milliseconds, the command line's are nanoseconds. */
export function stampOf({ size, modified }: Shot): FileStamp {
  return { size, mtime_ns: BigInt(modified) * 1_000_000n };
}

/** Two files of one name are two photographs; a file of records names each once. */
function unique(name: string, taken: ReadonlySet<string>): string {
  const [, stem, ending] = /^(.*?)(\.[^./]*)?$/s.exec(name)!;
  let free = name;
  for (let i = 2; taken.has(free); i++) free = `${stem} (${i})${ending ?? ''}`;
  return free;
}

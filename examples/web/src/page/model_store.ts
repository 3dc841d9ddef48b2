/** A model of one's own, remembered in this browser, so that it is there without a network. */

import { del, get, set } from 'idb-keyval';

import type { ModelFile } from './scoring.ts';

const KEY = 'model';

/** The remembered model; null when there is none, or this browser keeps nothing. */
export async function recall(): Promise<ModelFile | null> {
  try {
    return (await get<ModelFile>(KEY)) ?? null;
  } catch {
    return null; // private windows of some browsers have no storage: the bundled model is used
  }
}

/**
 * Remember a model.
 *
 * @throws Error in words for a person.
 */
export async function remember(model: ModelFile): Promise<void> {
  try {
    await set(KEY, model);
  } catch (error) {
    const full = error instanceof DOMException && error.name === 'QuotaExceededError';
    const why = full ? "this browser's storage is full: free some space, then open the model again" : String(error);
    throw new Error(`The model is used, but not remembered for the next visit: ${why}`);
  }
}

export async function forget(): Promise<void> {
  await del(KEY).catch(() => undefined); // where nothing can be kept, nothing is
}

/** A model that the page's server offers. */
export interface Offered {
  /** Path below the page. */
  readonly file: string;
  /** As in its card. */
  readonly name: string;
  /** Bytes. */
  readonly size: number;
}

/**
 * The models that are offered: the bundled ones, or those that `edge-nima phone MODEL` put before them.
 *
 * @returns the default one first.
 * @throws Error in words for a person.
 */
export async function offered(): Promise<[Offered, ...Offered[]]> {
  const list = (await (await fetched('models/index.json')).json()) as { models: Offered[]; default: string };
  const [first, ...others] = [...list.models].sort(
    (a, b) => Number(b.name === list.default) - Number(a.name === list.default),
  );
  if (first === undefined) throw new Error('models/index.json offers no model: build the page again');
  return [first, ...others];
}

/**
 * Fetch an offered model.
 *
 * @throws Error in words for a person.
 */
export async function download({ file, name }: Offered): Promise<ModelFile> {
  return { name, bytes: new Uint8Array(await (await fetched(file)).arrayBuffer()) };
}

async function fetched(path: string): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(new URL(path, document.baseURI));
  } catch {
    throw new Error(
      'The model could not be downloaded: no connection. Connect once; after that this page works offline.',
    );
  }
  if (!answer.ok) throw new Error(`The model could not be downloaded: the server says ${answer.status} for ${path}.`);
  return answer;
}

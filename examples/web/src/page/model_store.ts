/** Where model files come from: the page's server, and this browser, which remembers one of one's own. */

import { del, get, set } from 'idb-keyval';

import { type Get, type ModelFile, NotDownloaded } from './scoring.ts';

const KEY = 'model';

/** `id` of a model of one's own. */
export const OWN = 'own';

/** The remembered model; null when there is none, or this browser keeps nothing. */
export async function recall(): Promise<ModelFile | null> {
  try {
    const kept = await get<ModelFile>(KEY);
    return kept === undefined ? null : { ...kept, id: OWN };
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
  try {
    await del(KEY);
  } catch {
    return; // where nothing can be kept, nothing is
  }
}

/** A model that the page's server offers. */
export interface Offered {
  readonly id: string;
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
 * @throws NotDownloaded
 */
export async function offered(): Promise<[Offered, ...Offered[]]> {
  const list = (await (await fetched('models/index.json')).json()) as { models: Offered[]; default: string };
  const [first, ...others] = list.models
    .map((model) => ({ ...model, id: model.file.replace(/^models\//, '') }))
    .sort((a, b) => Number(b.name === list.default) - Number(a.name === list.default));
  if (first === undefined) throw new NotDownloaded('models/index.json offers no model: build the page again');
  return [first, ...others];
}

/** What gets an offered model, and tells how many percent of it are there; it throws NotDownloaded. */
export function download({ id, file, name, size }: Offered): Get {
  return async (tell, signal) => {
    const answer = await fetched(file, signal);
    let got = 0;
    const counted = new TransformStream<Uint8Array, Uint8Array>({
      transform(piece, to) {
        got += piece.length;
        // The size is that of the file, whatever the network made of it.
        tell(`Loading the model: ${Math.min(100, Math.floor((100 * got) / size))} %`);
        to.enqueue(piece);
      },
    });
    try {
      const whole = new Response(answer.body!.pipeThrough(counted));
      return { id, name, bytes: new Uint8Array(await whole.arrayBuffer()) };
    } catch {
      throw new NotDownloaded('The model could not be downloaded: the connection broke off.');
    }
  };
}

async function fetched(path: string, signal: AbortSignal | null = null): Promise<Response> {
  let answer: Response;
  try {
    answer = await fetch(new URL(path, document.baseURI), { signal });
  } catch {
    throw new NotDownloaded(
      'The model could not be downloaded: no connection. Connect once; after that this page works offline.',
    );
  }
  if (answer.ok) return answer;
  throw new NotDownloaded(`The model could not be downloaded: the server says ${answer.status} for ${path}.`);
}

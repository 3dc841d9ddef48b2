/** The best frame of the session, shown small and saved at full size. */

import type { BestShot } from '../engine/protocol.ts';
import { at, say } from './dom.ts';
import { canShare, share, stamp } from './saving.ts';
import type { Scoring } from './scoring.ts';

const SETTLED = 800;

/** Owns #best. The JPEG is made a moment after the score rose, not at every frame that is a little better. */
export class SessionBest {
  readonly #scoring: Scoring;
  #shot: BestShot | null = null;
  #address = '';
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(scoring: Scoring) {
    this.#scoring = scoring;
    say(at('best-share'), canShare() ? 'Share' : 'Save');
    at('best-share').addEventListener('click', () => void this.#share());
    at('best-forget').addEventListener('click', () => void this.#forget());
  }

  /** A frame is better than all before. */
  better(): void {
    this.#timer ??= setTimeout(() => void this.#fetch(), SETTLED);
  }

  async #fetch(): Promise<void> {
    this.#timer = undefined;
    const shot = await this.#scoring.ask('best', null).catch(() => null); // the backend broke: the next frames tell
    if (shot === null) return;
    this.#shot = shot;
    this.#scoring.above = shot.mean; // only now: a backend that takes over begins with what is in hand
    const box = at('best');
    const picture = at('best-picture', HTMLImageElement);
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = picture.src = URL.createObjectURL(shot.jpeg);
    picture.alt = `The best frame of this session, score ${shot.mean.toFixed(2)}`;
    say(at('best-mean'), shot.mean.toFixed(2));
    say(at('best-said'), `± ${shot.std.toFixed(2)} · ${shot.width} × ${shot.height}`);
    box.dataset['mean'] = String(shot.mean);
    box.hidden = false;
  }

  async #share(): Promise<void> {
    if (this.#shot === null) return;
    const name = `edge-nima-${this.#shot.mean.toFixed(2)}-${stamp()}.jpg`;
    await share(new File([this.#shot.jpeg], name, { type: 'image/jpeg' }));
  }

  async #forget(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#shot = null;
    this.#scoring.above = 0;
    at('best').hidden = true;
    if (this.#address) URL.revokeObjectURL(this.#address);
    this.#address = '';
    await this.#scoring.ask('session', { above: 0 }).catch(() => null);
  }
}

/** Taking a proof: the next scored frames, saved with their records for the desktop to score again. */

import type { FrameScore } from '../engine/protocol.ts';
import { at, say } from './dom.ts';
import { download, stamp } from './saving.ts';
import type { Scoring } from './scoring.ts';

const FRAMES = 20;

/** Owns #proof-card. */
export class ProofTaking {
  readonly #scoring: Scoring;
  #saving = false;
  #ready = false;

  constructor(scoring: Scoring) {
    this.#scoring = scoring;
    at('proof').addEventListener('click', () => void this.#begin());
  }

  /** Whether frames are scored. */
  ready(is: boolean): void {
    this.#ready = is;
    at('proof', HTMLButtonElement).disabled = !is || this.#scoring.proving;
  }

  async #begin(): Promise<void> {
    this.#show(true, 'Hold still or move, as you like');
    this.#scoring.proving = true;
    await this.#scoring.ask('proof', { frames: FRAMES }).catch((error: Error) => this.end(error.message));
  }

  /** A frame was scored while the camera is on. */
  frame({ proof }: FrameScore): void {
    if (!this.#scoring.proving || proof === null) return;
    at('proof-progress', HTMLProgressElement).value = proof.taken;
    say(at('proof-said'), `${proof.taken} of ${proof.of}`);
    if (proof.taken === proof.of && !this.#saving) void this.#save();
  }

  async #save(): Promise<void> {
    this.#saving = true;
    try {
      const file = await this.#scoring.ask('proofFile', null);
      download(file, `edge-nima-proof-${stamp()}.zip`);
      this.end('Saved among the downloads');
    } catch (error) {
      this.end((error as Error).message);
    } finally {
      this.#saving = false;
    }
  }

  /** Over, or given up because the camera stopped. */
  end(said = ''): void {
    if (this.#scoring.proving && !said) void this.#scoring.ask('proof', { frames: 0 }).catch(() => null);
    this.#scoring.proving = false;
    this.#show(false, said);
  }

  #show(under: boolean, said: string): void {
    at('proof', HTMLButtonElement).disabled = under || !this.#ready;
    at('proof-progress').hidden = !under;
    at('proof-progress', HTMLProgressElement).value = 0;
    say(at('proof-said'), said);
  }
}

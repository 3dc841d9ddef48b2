/** The live view: a camera that opens at once, its newest frame scored again and again, pictures taken of it. */

import { percentOfAva } from '../core/percentiles.ts';
import { BackendLost } from '../engine/engine.ts';
import type { FrameScore } from '../engine/protocol.ts';
import { at, say } from './dom.ts';
import { Histogram } from './histogram.ts';
import { CameraProblem, Lens, stopTracks } from './lens.ts';
import { ProofTaking } from './proof_taking.ts';
import { SHORT, type Scoring } from './scoring.ts';
import { Shots } from './shots.ts';

const SPOKEN_EVERY = 5000;
const STILL = 4000;
const PLAYS_WITHIN = 15_000;

type View = 'off' | 'starting' | 'waiting' | 'live' | 'still' | 'paused' | 'gone';

/** Owns #camera. */
export class CameraView {
  readonly #scoring: Scoring;
  readonly #video = at('video', HTMLVideoElement);
  readonly #histogram = new Histogram(at<Element>('histogram'));
  readonly #lens = new Lens(() => void this.start());
  readonly #shots: Shots;
  readonly #proof: ProofTaking;
  #on = false;
  /** It was on when the view or the page was left, and is opened again when both are seen. */
  #resume = false;
  /** The page was hidden, and no frame has come since: the browser may have stopped or frozen the camera. */
  #returned = false;
  #paused = false;
  #loop: AbortController | null = null;
  #times: number[] = [];
  #spoken = 0;
  #starting = 0;

  constructor(scoring: Scoring) {
    this.#scoring = scoring;
    this.#shots = new Shots(scoring);
    this.#proof = new ProofTaking(scoring);
    at('start').addEventListener('click', () => void this.start());
    at('stop').addEventListener('click', () => this.stop());
    at('pause').addEventListener('click', () => {
      if (this.#paused && this.#lens.ended) void this.start();
      else this.#pause(!this.#paused);
    });
    document.addEventListener('visibilitychange', () => this.#visible());
    void Lens.wasOn().then((on) => (on && !this.on ? this.start() : undefined));
  }

  /** Why there is no score yet; "" when the next frame has one. */
  waits(why: string): void {
    if (why !== '' || at('mean').textContent === '–') say(at('std'), why);
  }

  /** The model is ready, or no longer. */
  ready(is: boolean): void {
    this.#shots.ready(is && this.#on);
    this.#proof.ready(is && this.#on);
    if (!this.#on) return;
    if (is) this.#run();
    else if (this.#loop === null && !this.#paused) this.#show('waiting');
  }

  /** A camera is on, or about to be. */
  get on(): boolean {
    return this.#on || this.#starting > 0;
  }

  /** The view is shown, or no longer: a camera that was on is opened again. */
  shown(is: boolean): void {
    if (is) return void (this.#resume && !this.on && this.start());
    if (!this.on) return;
    this.#end(false);
    this.#resume = true;
    this.#show('off');
  }

  async start(): Promise<void> {
    const focused = document.activeElement === at('start');
    this.#end(false);
    const turn = ++this.#starting;
    this.#show('starting', 'Opening the camera');
    try {
      const stream = await this.#lens.open(() => this.#lost());
      if (turn !== this.#starting) return stopTracks(stream);
      this.#video.srcObject = stream;
      await Promise.all([this.#lens.use(stream), played(this.#video)]);
      if (turn !== this.#starting) return stopTracks(stream);
      this.#on = true;
      this.#video.classList.toggle('mirrored', this.#lens.facesUser);
      for (const button of at('over').querySelectorAll('button')) button.disabled = false;
      this.#pause(false);
      this.ready(this.#scoring.engine !== null);
      if (focused) at('pause').focus();
    } catch (error) {
      if (turn !== this.#starting) return;
      this.#end(false); // a stream that opened and is not used: its light goes out
      if (document.hidden) this.#resume = true; // browsers open and play little that nobody sees
      this.#fail(error as Error);
    } finally {
      if (turn === this.#starting) this.#starting = 0;
    }
  }

  /** Off, because a person wants it so. */
  stop(): void {
    const focused = at('over').contains(document.activeElement);
    this.#end(true);
    this.#show('off', 'The score follows the picture. Nothing leaves this device.');
    if (focused) at('start').focus();
  }

  #end(wanted: boolean): void {
    this.#starting = 0;
    this.#on = false;
    this.#resume = false;
    this.#returned = false;
    this.#loop?.abort();
    this.#loop = null;
    this.#shots.ready(false);
    this.#proof.ready(false);
    this.#proof.end();
    this.#lens.close(wanted);
    this.#video.srcObject = null;
    for (const button of at('over').querySelectorAll('button')) button.disabled = true;
    for (const id of ['mean', 'std', 'place']) say(at(id), id === 'mean' ? '–' : '');
    this.#histogram.clear();
  }

  #run(): void {
    if (this.#loop !== null || this.#paused || document.hidden || !this.#on) return;
    this.#loop = new AbortController();
    this.#times = [];
    void this.#score(this.#loop.signal);
  }

  async #score(signal: AbortSignal): Promise<void> {
    const frames = new NewestFrame(this.#video, signal);
    while (!signal.aborted) {
      const still = setTimeout(() => this.#still(), STILL);
      const frame = await frames.next().catch(() => null);
      clearTimeout(still);
      if (signal.aborted || frame === null) {
        frame?.close();
        continue;
      }
      try {
        const score = await this.#scoring.ask('frame', frame, [frame]);
        if (!signal.aborted) this.#scored(score);
      } catch (error) {
        if (signal.aborted) return;
        this.#loop = null;
        if (!(error instanceof BackendLost)) {
          this.stop();
          return this.#fail(new Error(`The camera's pictures cannot be read: ${(error as Error).message}`));
        }
        if (this.#scoring.engine === null) return this.#show('waiting');
        return void this.start(); // the broken worker took frames with it that the camera waits for
      } finally {
        frame.close(); // does nothing when the worker has it
      }
    }
  }

  #still(): void {
    if (this.#returned) void this.start();
    else this.#show('still', 'No new picture from the camera.');
  }

  /** The camera stopped by itself. In a page that is hidden, or has just been, phones take it away from the page. */
  #lost(): void {
    if (document.hidden || (this.#returned && this.#paused)) return; // opened again when it is seen, or goes on
    if (this.#returned) return void this.start();
    this.stop();
    this.#fail(new CameraProblem('lost', 'The camera was lost: unplugged, or taken by another app. Open it again.'));
  }

  #scored(score: FrameScore): void {
    this.#returned = false;
    this.#show('live');
    const box = at('score');
    if (box.dataset['mean'] === undefined) performance.mark('edge-nima:first-score');
    const { mean, std, elapsedMs: elapsed, runMs: run, source } = score;
    Object.assign(box.dataset, { mean, std, elapsed, run, source });
    box.dataset['frames'] = String(Number(box.dataset['frames'] ?? 0) + 1);
    say(at('mean'), mean.toFixed(2));
    say(at('std'), `± ${std.toFixed(2)}`);
    say(at('place'), `better than ${percentOfAva(mean)} % of AVA`);
    this.#histogram.show(score.distribution, mean);
    this.#speed(score);
    if (score.best) this.#shots.better();
    this.#proof.frame(score);
    const now = performance.now();
    if (now - this.#spoken < SPOKEN_EVERY) return;
    this.#spoken = now;
    this.#histogram.describe(score.distribution);
    say(at('said'), `Score ${mean.toFixed(1)} of 10, plus or minus ${std.toFixed(1)}`);
  }

  /** Over the last two seconds; written twice a second, digits that race cannot be read. */
  #speed(score: FrameScore): void {
    const now = performance.now();
    this.#times.push(now);
    this.#times = this.#times.filter((time) => now - time < 2000);
    const first = this.#times[0]!;
    if (Math.floor(now / 500) === Math.floor((this.#times.at(-2) ?? 0) / 500)) return;
    say(at('rate'), now > first ? ((1000 * (this.#times.length - 1)) / (now - first)).toFixed(1) : '–');
    say(at('frame-ms'), score.elapsedMs.toFixed(0));
    say(at('run-ms'), score.runMs.toFixed(0));
    const { engine } = this.#scoring;
    if (engine !== null) say(at('backend'), SHORT[engine.backend]);
  }

  #pause(paused: boolean): void {
    this.#paused = paused;
    at('pause').setAttribute('aria-pressed', String(paused));
    this.#loop?.abort();
    this.#loop = null;
    if (paused) {
      this.#video.pause();
      return this.#show('paused', 'Paused');
    }
    this.#show('waiting');
    void this.#video.play().catch(() => undefined); // the browser pauses it again when the page is hidden
    if (this.#scoring.engine !== null) this.#run();
  }

  /** A page that nobody sees scores nothing: the phone keeps its battery. What was on goes on when it is seen again. */
  #visible(): void {
    if (document.hidden) {
      this.#loop?.abort();
      this.#loop = null;
    } else if (!this.#on) {
      this.shown(!at('camera').hidden);
    } else if (this.#lens.ended && !this.#paused) {
      void this.start();
    } else {
      this.#returned = true;
      if (!this.#paused) this.#pause(false);
    }
  }

  #fail(problem: Error): void {
    this.#show('gone', problem.message, problem instanceof CameraProblem ? problem.kind : 'unknown');
    say(at('said'), problem.message);
  }

  #show(view: View, why = '', problem = ''): void {
    const live = at('live');
    live.dataset['view'] = view;
    if (problem) live.dataset['problem'] = problem;
    else delete live.dataset['problem'];
    if (why) say(at('why'), why);
    at('start').hidden = view !== 'off' && view !== 'gone';
  }
}

/**
 * Play the camera's stream.
 *
 * @throws CameraProblem when the browser refuses, or no picture comes.
 */
async function played(video: HTMLVideoElement): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no picture within ${PLAYS_WITHIN / 1000} s`)), PLAYS_WITHIN);
  });
  try {
    await Promise.race([video.play(), late]);
  } catch (error) {
    const why = (error as Error).message.replace(/\.$/, '');
    throw new CameraProblem('unplayable', `The camera opened, but does not play: ${why}. Open it again.`);
  } finally {
    clearTimeout(timer);
  }
}

/** The newest frame of a playing video. Nothing is queued: what comes while a frame is scored is seen by nobody. */
class NewestFrame {
  readonly #video: HTMLVideoElement;
  readonly #signal: AbortSignal;
  /** Whether the video shows a picture that was not taken yet. */
  #fresh = false;
  #wake: (() => void) | null = null;

  constructor(video: HTMLVideoElement, signal: AbortSignal) {
    this.#video = video;
    this.#signal = signal;
    signal.addEventListener('abort', () => this.#wake?.());
    this.#watch();
  }

  /**
   * Wait for a picture that was not taken yet, and take it. It is asked for all the time, so that a scorer that is as
   * fast as the camera does not wait for the camera's next picture but one.
   *
   * @returns a frame to be closed by whoever gets it; null when the signal aborts first.
   */
  async next(): Promise<VideoFrame | ImageBitmap | null> {
    if (!this.#fresh) await new Promise<void>((resolve) => (this.#wake = resolve));
    if (this.#signal.aborted) return null;
    this.#fresh = false;
    // Not scaled and not drawn: the worker copies the planes as the camera gave them.
    if ('VideoFrame' in window) return new VideoFrame(this.#video);
    return createImageBitmap(this.#video, { colorSpaceConversion: 'none' });
  }

  #watch(): void {
    const presented = (): void => {
      if (this.#signal.aborted) return;
      this.#fresh = true;
      this.#wake?.();
      this.#watch();
    };
    if ('requestVideoFrameCallback' in this.#video) this.#video.requestVideoFrameCallback(presented);
    else requestAnimationFrame(presented);
  }
}

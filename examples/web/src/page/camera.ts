/** The live view: a camera, its newest frame scored again and again, the best one kept. */

import { BackendLost } from '../engine/engine.ts';
import type { FrameScore } from '../engine/protocol.ts';
import { cameraProblem, type CameraProblem, INSECURE, LOST } from './camera_problem.ts';
import { at, say } from './dom.ts';
import { newestFrame } from './frames.ts';
import { Histogram } from './histogram.ts';
import { SHORT, type Scoring } from './scoring.ts';
import { SessionBest } from './session_best.ts';
import { ProofTaking } from './proof_taking.ts';

const SPOKEN_EVERY = 5000;
const STILL = 4000;

/** Owns #camera. */
export class CameraView {
  readonly #scoring: Scoring;
  readonly #video = at('video', HTMLVideoElement);
  readonly #histogram = new Histogram(at<Element>('histogram'));
  readonly #best: SessionBest;
  readonly #proof: ProofTaking;
  #stream: MediaStream | null = null;
  #facing: 'environment' | 'user' = 'environment';
  #paused = false;
  #loop: AbortController | null = null;
  #times: number[] = [];
  #spoken = 0;
  #starting = 0;

  constructor(scoring: Scoring) {
    this.#scoring = scoring;
    this.#best = new SessionBest(scoring);
    this.#proof = new ProofTaking(scoring);
    at('start').addEventListener('click', () => void this.start());
    at('stop').addEventListener('click', () => this.stop());
    at('pause').addEventListener('click', () => this.#pause(!this.#paused));
    at('turn').addEventListener('click', () => void this.#turn());
    // A phone that is turned swaps the sides of its pictures.
    this.#video.addEventListener('resize', () => {
      const { videoWidth, videoHeight } = this.#video;
      this.#video.parentElement!.style.setProperty('--shape', String(videoWidth / Math.max(1, videoHeight)));
    });
    document.addEventListener('visibilitychange', () => this.#visible());
  }

  /** The model is ready, or no longer. */
  ready(is: boolean): void {
    at('start', HTMLButtonElement).disabled = !is || this.#starting > 0;
    if (is && this.#stream !== null) this.#run();
  }

  /** Whether a camera is on. */
  get on(): boolean {
    return this.#stream !== null || this.#starting > 0;
  }

  async start(): Promise<void> {
    this.stop();
    if (!isSecureContext || navigator.mediaDevices === undefined) return this.#fail(INSECURE);
    const turn = ++this.#starting;
    this.#show('starting', 'Starting the camera');
    at('start', HTMLButtonElement).disabled = true;
    try {
      const stream = await navigator.mediaDevices.getUserMedia({
        audio: false,
        video: { facingMode: this.#facing, width: { ideal: 1280 }, height: { ideal: 720 } },
      });
      if (turn !== this.#starting) return stopTracks(stream);
      await this.#play(stream);
    } catch (error) {
      if (turn === this.#starting) this.#fail(cameraProblem(error));
    } finally {
      if (turn === this.#starting) this.#starting = 0;
      at('start', HTMLButtonElement).disabled = this.#scoring.state.is !== 'ready';
    }
  }

  /** Off: the light beside the lens goes out. */
  stop(): void {
    this.#starting = 0;
    this.#loop?.abort();
    this.#loop = null;
    this.#proof.end();
    if (this.#stream !== null) stopTracks(this.#stream);
    this.#stream = null;
    this.#video.srcObject = null;
    for (const id of ['score', 'over', 'speed', 'proof-card']) at(id).hidden = true;
    this.#show('off', 'Point the camera at something: the score follows the picture.');
  }

  async #play(stream: MediaStream): Promise<void> {
    const track = stream.getVideoTracks()[0]!;
    this.#stream = stream;
    track.addEventListener('ended', () => {
      if (this.#stream !== stream) return;
      this.stop();
      this.#fail(LOST);
    });
    // Seen as in a mirror, people find themselves; what is scored is the picture as others see it, and as it is saved.
    const { facingMode } = track.getSettings();
    this.#video.classList.toggle('mirrored', (facingMode ?? this.#facing) === 'user');
    this.#video.srcObject = stream;
    await this.#video.play();
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === 'videoinput');
    at('turn').hidden = cameras.length < 2;
    at('over').hidden = at('speed').hidden = at('proof-card').hidden = false;
    this.#pause(false);
  }

  #run(): void {
    if (this.#loop !== null || this.#paused || document.hidden || this.#stream === null) return;
    this.#loop = new AbortController();
    this.#times = [];
    this.#show('live');
    void this.#score(this.#loop.signal);
  }

  async #score(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const still = setTimeout(() => this.#show('still', 'No new picture from the camera.'), STILL);
      const frame = await newestFrame(this.#video, signal).catch(() => null);
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
        if (!(error instanceof BackendLost)) {
          this.stop();
          return this.#fail({
            kind: 'unknown',
            text: `The camera's pictures cannot be read: ${(error as Error).message}`,
          });
        }
        if (this.#scoring.engine === null) {
          this.#loop = null;
          return this.#show('still', 'No model is ready.');
        }
        return void this.start(); // the broken worker took frames with it that the camera waits for
      } finally {
        frame.close(); // does nothing when the worker has it
      }
    }
  }

  #scored(score: FrameScore): void {
    this.#show('live');
    const box = at('score');
    if (box.dataset['mean'] === undefined) performance.mark('edge-nima:first-score');
    box.hidden = false;
    Object.assign(box.dataset, {
      mean: score.mean,
      std: score.std,
      elapsed: score.elapsedMs,
      run: score.runMs,
      source: score.source,
    });
    box.dataset['frames'] = String(Number(box.dataset['frames'] ?? 0) + 1);
    say(at('mean'), score.mean.toFixed(2));
    say(at('std'), `± ${score.std.toFixed(2)}`);
    this.#histogram.show(score.distribution, score.mean);
    this.#speed(score);
    if (score.best) this.#best.better();
    this.#proof.frame(score);
    const now = performance.now();
    if (now - this.#spoken < SPOKEN_EVERY) return;
    this.#spoken = now;
    this.#histogram.describe(score.distribution);
    say(at('said'), `Score ${score.mean.toFixed(1)}, plus or minus ${score.std.toFixed(1)}`);
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
    void this.#video.play().catch(() => undefined); // the browser pauses it again when the page is hidden
    this.#run();
  }

  async #turn(): Promise<void> {
    this.#facing = this.#facing === 'environment' ? 'user' : 'environment';
    await this.start();
  }

  /** A page that nobody sees scores nothing: the phone keeps its battery. */
  #visible(): void {
    if (document.hidden) {
      this.#loop?.abort();
      this.#loop = null;
    } else if (this.#stream !== null && !this.#paused) {
      this.#pause(false);
    }
  }

  #fail(problem: CameraProblem): void {
    this.#show('gone', problem.text, problem.kind);
    say(at('said'), problem.text);
  }

  #show(view: 'off' | 'starting' | 'live' | 'still' | 'paused' | 'gone', why = '', problem = ''): void {
    const live = at('live');
    live.dataset['view'] = view;
    if (problem) live.dataset['problem'] = problem;
    else delete live.dataset['problem'];
    if (why) say(at('why'), why);
    at('start').hidden = view !== 'off' && view !== 'gone';
  }
}

function stopTracks(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

/** The camera's stream: which of the cameras, its zoom and its torch, and why there is none. */

import { at, element } from './dom.ts';

/** Short name for `data-problem`, and what to do about it. */
export class CameraProblem extends Error {
  readonly kind: 'refused' | 'none' | 'busy' | 'insecure' | 'lost' | 'unplayable' | 'unknown';

  constructor(kind: CameraProblem['kind'], text: string) {
    super(text);
    this.kind = kind;
  }
}

const LAST_USED = 'edge-nima:camera';
const SIZE = { width: { ideal: 1280 }, height: { ideal: 720 } };

/** What a track may be able to do beside what TypeScript knows of it. */
type Extras = { zoom?: { min: number; max: number; step: number }; torch?: boolean };

/** Owns #lens, #zoom and #torch. `change` is called when another camera is chosen. */
export class Lens {
  #stream: MediaStream | null = null;
  #deviceId = stored().replace('unnamed', '');
  readonly #list = at('lens', HTMLSelectElement);
  readonly #zoom = at('zoom', HTMLInputElement);
  readonly #torch = at('torch', HTMLButtonElement);

  constructor(change: () => void) {
    this.#list.addEventListener('change', () => {
      this.#deviceId = this.#list.value;
      change();
    });
    this.#zoom.addEventListener('input', () => void this.#apply({ zoom: this.#zoom.valueAsNumber }));
    this.#torch.addEventListener('click', () => {
      const torch = this.#torch.getAttribute('aria-pressed') !== 'true';
      void this.#apply({ torch }).then((done) => done && this.#torch.setAttribute('aria-pressed', String(torch)));
    });
    navigator.mediaDevices?.addEventListener('devicechange', () => this.#stream !== null && void this.#show());
  }

  /** Whether the camera was on when the page was left, and may be opened without a question. */
  static async wasOn(): Promise<boolean> {
    if (stored() === '') return false;
    const name = 'camera' as PermissionName; // not every browser knows it
    const permission = await navigator.permissions?.query({ name }).catch(() => null);
    return permission?.state === 'granted';
  }

  /**
   * Open the chosen camera, or the one at the back.
   *
   * @param lost called when it stops by itself.
   * @throws CameraProblem
   */
  async open(lost: () => void): Promise<MediaStream> {
    if (!isSecureContext || navigator.mediaDevices === undefined) {
      throw new CameraProblem(
        'insecure',
        'Browsers give a camera only to pages over HTTPS or on localhost. On the desktop type: edge-nima phone',
      );
    }
    const stream = await this.#ask().catch((error: unknown) => {
      throw problemOf(error);
    });
    stream.getVideoTracks()[0]!.addEventListener('ended', () => this.#stream === stream && lost());
    return stream;
  }

  /** The stream is the one in use. */
  async use(stream: MediaStream): Promise<void> {
    this.#stream = stream;
    this.#deviceId = this.#track!.getSettings().deviceId ?? '';
    store(this.#deviceId || 'unnamed');
    await this.#show();
  }

  /**
   * Let the camera go: the light beside it goes out.
   *
   * @param wanted it was stopped by a person, and stays off at the next visit.
   */
  close(wanted: boolean): void {
    if (this.#stream !== null) stopTracks(this.#stream);
    this.#stream = null;
    if (wanted) store('');
  }

  /** Whether the camera in use has stopped by itself. */
  get ended(): boolean {
    return this.#track?.readyState === 'ended';
  }

  /** Whether it looks at the person: such a picture is shown as in a mirror, and scored and saved as others see it. */
  get facesUser(): boolean {
    const { facingMode } = this.#track?.getSettings() ?? {};
    return facingMode === undefined ? /\b(front|user|facetime)\b/i.test(this.#track?.label ?? '') : facingMode === 'user';
  }

  get #track(): MediaStreamTrack | undefined {
    return this.#stream?.getVideoTracks()[0];
  }

  async #ask(): Promise<MediaStream> {
    const back = { facingMode: 'environment', ...SIZE };
    const chosen = this.#deviceId === '' ? back : { deviceId: { exact: this.#deviceId }, ...SIZE };
    try {
      return await navigator.mediaDevices.getUserMedia({ audio: false, video: chosen });
    } catch (error) {
      const gone = error instanceof DOMException && /^(OverconstrainedError|NotFoundError)$/.test(error.name);
      if (!gone || chosen === back) throw error;
      this.#deviceId = ''; // it was unplugged, or the browser has given it another name
      return navigator.mediaDevices.getUserMedia({ audio: false, video: back });
    }
  }

  async #show(): Promise<void> {
    const cameras = (await navigator.mediaDevices.enumerateDevices()).filter(({ kind }) => kind === 'videoinput');
    this.#list.hidden = cameras.length < 2;
    const named = cameras.map(({ deviceId, label }, i) =>
      element('option', { value: deviceId }, label.replace(/ \([\da-f]{4}:[\da-f]{4}\)$/, '') || `Camera ${i + 1}`),
    );
    this.#list.replaceChildren(...named);
    this.#list.value = this.#deviceId;
    const can = (this.#track?.getCapabilities?.() ?? {}) as Extras;
    const { zoom } = can;
    at('zoom-field').hidden = zoom === undefined || zoom.max <= zoom.min;
    if (zoom !== undefined) {
      const now = (this.#track!.getSettings() as { zoom?: number }).zoom ?? zoom.min;
      Object.assign(this.#zoom, { min: zoom.min, max: zoom.max, step: zoom.step || 'any', value: now });
    }
    this.#torch.hidden = can.torch !== true;
    this.#torch.setAttribute('aria-pressed', 'false');
  }

  /** Whether the camera did it. */
  async #apply(wanted: { zoom?: number; torch?: boolean }): Promise<boolean> {
    try {
      await this.#track?.applyConstraints({ advanced: [wanted as MediaTrackConstraintSet] });
      return true;
    } catch {
      return false; // phones refuse a torch while the flash is hot; the button stays as it was
    }
  }
}

export function stopTracks(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}

/** The camera of the last visit; "" when it was off, or where the browser stores nothing. */
function stored(): string {
  try {
    return localStorage.getItem(LAST_USED) ?? '';
  } catch {
    return '';
  }
}

function store(deviceId: string): void {
  try {
    localStorage.setItem(LAST_USED, deviceId);
  } catch {
    // the camera at the back is opened at the next visit
  }
}

/** What getUserMedia's error means. */
function problemOf(error: unknown): CameraProblem {
  const name = error instanceof DOMException ? error.name : '';
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return new CameraProblem(
        'refused',
        'The camera was refused. Allow it for this page (the sign beside the address), then open it again.',
      );
    case 'NotFoundError':
      return new CameraProblem(
        'none',
        'This device has no camera that the browser sees. Connect one, or score photographs instead.',
      );
    case 'NotReadableError':
    case 'AbortError':
      return new CameraProblem(
        'busy',
        'The camera is in use, or did not start. Close the other app that uses it, then open it again.',
      );
    default:
      return new CameraProblem(
        'unknown',
        `The camera did not start: ${error instanceof Error ? error.message : String(error)}`,
      );
  }
}

/** Why there is no camera picture, and what to do about it. */

/** Short name for `data-problem`, and words for a person. */
export interface CameraProblem {
  readonly kind: 'refused' | 'none' | 'busy' | 'insecure' | 'lost' | 'unknown';
  readonly text: string;
}

export const INSECURE: CameraProblem = {
  kind: 'insecure',
  text: 'Browsers give a camera only to pages over HTTPS or on localhost. On the desktop type: edge-nima phone',
};

export const LOST: CameraProblem = {
  kind: 'lost',
  text: 'The camera was lost: unplugged, or taken by another app. Close the other app and start it again.',
};

/** What getUserMedia's error means. */
export function cameraProblem(error: unknown): CameraProblem {
  const name = error instanceof DOMException ? error.name : '';
  switch (name) {
    case 'NotAllowedError':
    case 'SecurityError':
      return {
        kind: 'refused',
        text: 'The camera was refused. Allow it for this page (the sign beside the address), then start it again.',
      };
    case 'NotFoundError':
      return {
        kind: 'none',
        text: 'This device has no camera that the browser sees. Connect one, or score photographs instead.',
      };
    case 'NotReadableError':
    case 'AbortError':
      return {
        kind: 'busy',
        text: 'The camera is in use, or did not start. Close the other app that uses it, then start again.',
      };
    default:
      return {
        kind: 'unknown',
        text: `The camera did not start: ${error instanceof Error ? error.message : String(error)}`,
      };
  }
}

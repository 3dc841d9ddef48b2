/** Parts of WebCodecs that TypeScript's own declarations do not have yet. */
interface VideoFrame {
  /** Degrees clockwise that make it upright; missing in older browsers, which never turn frames. */
  readonly rotation?: number;
  /** Whether left and right are swapped after that. */
  readonly flip?: boolean;
}

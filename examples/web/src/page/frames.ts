/** The newest frame of a playing video, asked for one at a time: what comes in between is never queued. */

/**
 * Wait for the next picture and take it.
 *
 * @returns a frame to be closed by whoever gets it; null when the signal aborts first.
 */
export async function newestFrame(
  video: HTMLVideoElement,
  signal: AbortSignal,
): Promise<VideoFrame | ImageBitmap | null> {
  await presented(video, signal);
  if (signal.aborted) return null;
  // Not scaled and not drawn: the worker copies the planes as the camera gave them.
  if ('VideoFrame' in window) return new VideoFrame(video);
  return createImageBitmap(video, { colorSpaceConversion: 'none' });
}

function presented(video: HTMLVideoElement, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let asked = 0;
    const counted = 'requestVideoFrameCallback' in video;
    const done = (): void => {
      signal.removeEventListener('abort', stop);
      resolve();
    };
    const stop = (): void => {
      if (counted) video.cancelVideoFrameCallback(asked);
      else cancelAnimationFrame(asked);
      resolve();
    };
    signal.addEventListener('abort', stop, { once: true });
    asked = counted ? video.requestVideoFrameCallback(done) : requestAnimationFrame(done);
  });
}

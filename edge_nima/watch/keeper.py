"""Candidates to kept photographs: the loop offers frames, a thread encodes and writes, the loop never waits."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edge_nima.errors import OutputError, reason
from edge_nima.frames import Frame
from edge_nima.frames.buffers import BufferPool
from edge_nima.pixels import Pixels
from edge_nima.watch.events import Listener, Scored
from edge_nima.watch.likeness import perceptual_hash, sharpness
from edge_nima.watch.ratings import Ratings
from edge_nima.watch.shots import Gallery
from edge_nima.watch.window import BestOfWindow, Burst, Candidate
from edge_nima.watch.xmp import encode

log = logging.getLogger("edge_nima.watch")

RETRY_EVERY_S = 5.0
WINDOWS_HELD = 4
"""So many windows' worth of photographs wait for a disk with room; then the oldest are let go, counted."""


@dataclass(frozen=True)
class Wishes:
    """What is kept."""

    keep: int = 3
    """The best so many of each window."""
    every_s: float = 600.0
    """The length of a window, seconds."""
    spacing_s: float = 0.0
    """The least time between two, seconds."""
    min_score: float | None = None
    """Only means of at least this."""
    likeness: int = 6
    """Hashes that differ by at most so many of 64 bits are of one motif; -1 for never."""
    burst_s: float = 0.0
    """Of each such stretch only the best frame is a candidate."""
    quality: int = 92
    """Of the JPEG."""


@dataclass(eq=False)
class _Pending:
    """A frame that may be kept: its pixels until they are encoded, then the file's bytes."""

    scored: Scored
    rating: int
    rgb: Pixels | None
    release: Callable[[], None]
    """Gives the pixels' buffer back; the thread that encodes does it, which may be at work when this is dropped."""
    jpeg: bytes | None = None
    dropped: bool = False
    """Something better took its place: not worth encoding."""

    def encode(self, quality: int) -> None:
        """Make the file of it, once."""
        rgb, scored = self.rgb, self.scored
        try:
            if rgb is not None:
                record = scored.record
                assert record.mean is not None
                assert record.std is not None
                self.jpeg = encode(
                    rgb, mean=record.mean, std=record.std, distribution=record.distribution or (), model=record.model,
                    taken_at=scored.taken_at, camera=scored.camera, rating=self.rating, quality=quality,
                )  # fmt: skip
                self.rgb = None
        finally:
            self.release()

    def drop(self) -> None:
        """Let go of it."""
        self.dropped, self.rgb = True, None


class Keeper:
    """Keeps the best of each window in a gallery."""

    def __init__(
        self,
        gallery: Gallery,
        wishes: Wishes,
        listeners: Sequence[Listener] = (),
        recent: Iterable[float] = (),
    ) -> None:
        """Begin the thread.

        Args:
            gallery: where photographs go.
            wishes: what is kept.
            listeners: their `kept` is called for each photograph, on the thread.
            recent: means of earlier scores, by which the first ratings are given.
        """
        self._gallery, self._wishes, self._listeners = gallery, wishes, tuple(listeners)
        self._pool = BufferPool(2)  # one that is encoded, one that waits
        self._ratings = Ratings()
        for earlier in recent:
            self._ratings.add(earlier)
        self._window = BestOfWindow(
            wishes.keep, wishes.every_s, spacing_s=wishes.spacing_s, min_score=wishes.min_score,
            likeness=wishes.likeness,
        )  # fmt: skip
        self._burst = Burst(wishes.burst_s)
        self._work = threading.Condition()
        self._to_encode: deque[_Pending] = deque()
        self._to_save: deque[_Pending] = deque()
        self._stop = False
        self.shots = 0
        """Photographs written."""
        self.lost = 0
        """Photographs that would have been, had there been room."""
        self.problem: str | None = None
        """Why none can be written now."""
        self._thread = threading.Thread(target=self._run, name="edge-nima shots", daemon=True)
        self._thread.start()

    def offer(self, scored: Scored, frame: Frame) -> None:
        """Consider a frame; its pixels are copied only if it may be kept. On the loop's thread."""
        mean, mono = scored.record.mean, frame.taken_mono
        if mean is None or mean != mean:
            return
        self.look(mono)
        rating = self._ratings.stars(mean)
        self._ratings.add(mean, mono)
        bursts = self._wishes.burst_s > 0
        if not self._window.would_keep(mean, mono) or (bursts and not self._burst.would_keep(mean)):
            return
        full = frame.full()
        seen = perceptual_hash(full) if self._wishes.likeness >= 0 else 0
        if not bursts and not self._window.would_keep(mean, mono, seen):
            return
        rgb, release = self._pool.take(full.shape[0], full.shape[1])
        np.copyto(rgb, full)
        candidate = Candidate(mean, mono, frame.taken_at, seen, _Pending(scored, rating, rgb, release))
        if bursts:
            self._burst.offer(candidate, sharpness(rgb))
        else:
            self._consider(candidate)

    def look(self, mono: float | None) -> None:
        """End a window whose time is over, by the time of a frame or, of a live source, now. On the loop's thread."""
        if mono is None:
            return
        if self._burst.due(mono):
            self._end_burst()
        if self._window.due(mono):
            self._end_window()

    def finish(self, timeout_s: float) -> None:
        """End the window, write what it keeps as far as the time goes, count the rest as lost, and stop.

        Also when it has stopped. The one that is being written then is counted when it is.
        """
        self._end_burst()
        self._end_window()
        with self._work:
            self._stop = True
            self._work.notify()
        self._thread.join(timeout_s)
        with self._work:
            self._let_go(len(self._to_save))
            self._to_encode.clear()

    def _end_burst(self) -> None:
        candidate = self._burst.close()
        if candidate is not None:
            self._consider(candidate)

    def _consider(self, candidate: Candidate) -> None:
        before = self._window.held
        pending = candidate.payload
        if not self._window.offer(candidate.mean, candidate.taken_mono, candidate.taken_at, candidate.hash, pending):
            return
        held = {id(kept.payload) for kept in self._window.held}
        for displaced in before:
            if id(displaced.payload) not in held:
                displaced.payload.drop()
        with self._work:
            self._to_encode.append(pending)
            self._work.notify()

    def _end_window(self) -> None:
        kept = sorted(self._window.close(), key=lambda candidate: candidate.taken_mono)
        if kept:
            with self._work:
                self._to_save.extend(candidate.payload for candidate in kept)
                self._let_go(len(self._to_save) - WINDOWS_HELD * self._wishes.keep)
                self._work.notify()

    def _let_go(self, count: int) -> None:
        """Of the oldest that wait to be saved; with the lock."""
        for _ in range(count):
            self._to_save.popleft().drop()
            self.lost += 1

    def _run(self) -> None:
        while True:
            with self._work:
                retry = self.problem is not None and not self._stop
                if not self._to_encode and (retry or not self._to_save):
                    if self._stop:
                        return
                    self._work.wait(RETRY_EVERY_S if retry else None)
                encode = self._to_encode.popleft() if self._to_encode else None
                save = self._to_save.popleft() if encode is None and self._to_save else None
            try:
                if encode is not None:
                    encode.encode(self._wishes.quality)
                elif save is not None and not self._save(save):
                    with self._work:
                        self._to_save.appendleft(save)
                        self._let_go(len(self._to_save) - (0 if self._stop else WINDOWS_HELD * self._wishes.keep))
            except Exception:  # one that cannot be made into a file must not end the keeping of those that come after
                log.exception("a photograph cannot be kept")
                if save is not None:
                    with self._work:
                        self.lost += 1

    def _save(self, pending: _Pending) -> bool:
        scored = pending.scored
        pending.encode(self._wishes.quality)
        assert pending.jpeg is not None
        assert scored.record.mean is not None
        try:
            shot = self._gallery.save(
                pending.jpeg, camera=scored.camera, taken_at=scored.taken_at, mean=scored.record.mean,
                rating=pending.rating,
            )  # fmt: skip
        except OutputError as error:
            if self.problem is None:
                log.warning("photographs cannot be written; scoring goes on: %s", error)
            self.problem = reason(error)
            return False
        if self.problem is not None:
            log.warning("photographs are written again")
            self.problem = None
        self.shots += 1
        log.info("kept %s (%.2f)", shot.path.name, shot.mean)
        for listener in self._listeners:
            try:
                listener.kept(shot)
            except Exception:  # a publisher's own mistake must not end the keeping
                log.exception("a listener failed")
        return True

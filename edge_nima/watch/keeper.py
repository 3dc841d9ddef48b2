"""Candidates to kept photographs: a camera offers frames, a thread encodes and writes, the camera never waits."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, time

import numpy as np

from edge_nima.decode import Pixels
from edge_nima.errors import OutputError, reason
from edge_nima.frame import Frame
from edge_nima.selection import TIE, Candidate, KeepPolicy, by_sharpness, choose
from edge_nima.similarity import hamming, perceptual_hash, sharpness
from edge_nima.sources import BufferPool
from edge_nima.watch.events import Listener, Scored
from edge_nima.watch.fault_log import FaultLog
from edge_nima.watch.gallery import Gallery, label_in_names
from edge_nima.watch.policy import Ratings, Window
from edge_nima.watch.xmp import encode, hash_of

log = logging.getLogger("edge_nima.watch")

RETRY_EVERY_S = 5.0
WINDOWS_HELD = 4  # so many windows' photographs wait for a disk with room; then the oldest are let go, counted


@dataclass(eq=False)
class _Shot(Candidate):
    """What becomes of a frame: its pixels, then a file in folder/window or its bytes, then a photograph."""

    scored: Scored | None = None
    rgb: Pixels | None = None  # a buffer of this one alone; whoever took it from the queue gives it back by `free`
    release: Callable[[], None] | None = None
    file: Path | bytes | None = None  # in folder/window; its bytes where the disk did not take it
    rating: int = 1
    superseded: list[_Shot] = field(default_factory=list)
    name: str | None = None  # of the photograph, once it is kept
    gone: bool = False  # let go, failed or kept: nothing more is made of it

    def free(self) -> None:
        """Give the pixels' buffer back; again does nothing."""
        self.rgb = None
        if self.release is not None:
            self.release()


class Keeper:
    """Keeps the best of each window of one camera in a gallery."""

    def __init__(
        self, gallery: Gallery, policy: KeepPolicy, camera: str,
        listeners: Sequence[Listener] = (), recent: Iterable[float] = (),
    ) -> None:  # fmt: skip
        """Begin the thread; it first keeps what an earlier process left of its last windows.

        Listeners are told on the thread, by `kept`. `recent` are means of earlier scores, for the stars.
        """
        self._gallery, self._policy, self._camera, self._listeners = gallery, policy, camera, tuple(listeners)
        self._pool = BufferPool(2)  # one that is encoded, one that waits
        self._ratings = Ratings(recent)
        self._window: Window[_Shot] = Window(policy)
        one = replace(policy, keep=1, every_s=policy.burst_s, spacing_s=0.0, likeness=-1)
        self._burst: Window[_Shot] = Window(one, by_sharpness)
        self._window_id = 0
        self._alike: list[_Shot] = []  # kept of late: they stand for all that look like them
        self._work = threading.Condition()
        self._to_encode: deque[_Shot] = deque()
        self._to_keep: deque[_Shot] = deque()  # or to remove from folder/window, when gone
        self._stop, self._retry_at = False, 0.0
        self.shots = 0  # photographs written
        self.lost = 0  # those that would have been, had they been encoded or had there been room
        self.problem: str | None = None  # why none can be written now
        self._faults = FaultLog()
        self.alive_at = monotonic()  # of the thread's last step; idle, it takes one every five seconds
        self._thread = threading.Thread(target=self._run, name="edge-nima shots", daemon=True)
        self._thread.start()

    def offer(self, scored: Scored, frame: Frame) -> None:
        """Consider a frame; its pixels are copied only if it may be kept. On the camera's thread."""
        mean, mono = scored.record.mean, frame.taken_mono
        if mean is None or mean != mean:
            return
        self.look(mono)
        self._ratings.add(mean, mono)
        bursts = self._policy.burst_s > 0
        if not self._window.may_hold(mean, mono) or (bursts and not self._burst.may_hold(mean, mono)):
            return
        seen = perceptual_hash(frame.rgb) if self._policy.likeness >= 0 else 0
        shot = _Shot(mean, mono, seen, scored.taken_at, scored=scored)
        if any(mean <= kept.mean + TIE for kept in self._alike_to(shot)):
            return
        if not bursts:
            self._consider(shot, frame)
            return
        shot.sharp = sharpness(frame.rgb)
        gone = self._burst.offer(shot)
        if gone is not None:
            gone.free()
        if gone is not shot:
            self._copy(shot, frame)

    def look(self, mono: float | None) -> None:
        """End a window whose time is over, by the time of a frame or, in real time, now. On the camera's thread."""
        if mono is None:
            return
        if self._burst.due(mono):
            for shot in self._burst.close()[0]:
                if not shot.gone:
                    self._consider(shot, None)
        if not self._window.due(mono):
            return
        self._window.held = [shot for shot in self._window.held if not shot.gone]
        chosen, rest = self._window.close()
        with self._work:
            self._choose(chosen, rest)
            waiting = [shot for shot in self._to_keep if not shot.gone]
            for oldest in waiting[: max(len(waiting) - WINDOWS_HELD * self._policy.keep, 0)]:
                self.lost += 1
                self._let_go(oldest)
            self._work.notify()

    def finish(self, timeout_s: float) -> int:
        """End the window, write what it keeps as far as the time goes, and stop. Also when it has stopped.

        Returns how many photographs wait in folder/window for the next start. What is not there is counted as lost.
        """
        self.look(float("inf"))
        with self._work:
            self._stop, self._retry_at = True, 0.0
            self._work.notify()
        self._thread.join(max(timeout_s, 0.0))
        with self._work:
            waiting = [shot for shot in self._to_keep if not shot.gone]
            self._to_keep.clear()
            while self._to_encode:
                self._to_encode.popleft().free()
            left = sum(isinstance(shot.file, Path) for shot in waiting)
            self.lost += len(waiting) - left
        if left:
            log.warning("photographs of '%s' that wait for the next start: %d", self._camera, left)
        return left

    def _alike_to(self, shot: _Shot) -> list[_Shot]:
        likeness, alike_for_s = self._policy.likeness, self._policy.alike_for_s
        return [
            kept for kept in self._alike
            if hamming(kept.hash, shot.hash) <= likeness and abs(kept.taken_at - shot.taken_at) <= alike_for_s
        ]  # fmt: skip

    def _copy(self, shot: _Shot, frame: Frame) -> None:
        shot.gone = True  # should this fail
        full = frame.full()
        shot.rgb, shot.release = self._pool.take(full.shape[0], full.shape[1])
        np.copyto(shot.rgb, full)
        shot.gone = False

    def _consider(self, shot: _Shot, frame: Frame | None) -> None:
        # Hold it or let it go; one of a burst has its pixels already, and no frame.
        if self._window.began is None:
            self._window_id = max(self._window_id + 1, int(time() * 1000))
        shot.window = self._window_id
        self._window.held = [one for one in self._window.held if not one.gone]
        gone = self._window.offer(shot)
        if gone is shot:
            shot.free()
            return
        if frame is not None:
            self._copy(shot, frame)
        with self._work:
            if gone is not None:
                self._let_go(gone)
            self._to_encode.append(shot)
            if len(self._to_encode) > self._policy.keep + 2:
                # The thread is behind: pixels of what would not be chosen as things are take too much memory.
                held = self._window.held
                spare = {*self._to_encode}.intersection(held).difference(choose(held, self._policy))
                for worst in sorted(spare, key=lambda one: one.mean)[:1]:
                    held.remove(worst)
                    self._let_go(worst)
            self._work.notify()

    def _let_go(self, shot: _Shot) -> None:
        # With the lock. Of one that is being encoded the thread removes the file.
        shot.gone = True
        if shot in self._to_encode:
            self._to_encode.remove(shot)
            shot.free()
        elif shot.file is not None and shot not in self._to_keep:
            self._to_keep.appendleft(shot)  # before any of its window is kept: see `_recover`

    def _choose(self, shots: list[_Shot], rest: list[_Shot]) -> None:
        # With the lock: queue the best of a window, with stars by all means so far and what they supersede.
        for shot in rest:
            self._let_go(shot)
        for shot in shots:
            shot.rating = self._ratings.stars(shot.mean)
            shot.superseded = [kept for kept in self._alike_to(shot) if shot.mean > kept.mean + TIE]
            old = [kept for kept in self._alike if abs(kept.taken_at - shot.taken_at) > 2 * self._policy.alike_for_s]
            self._alike = [kept for kept in self._alike if kept not in (*old, *shot.superseded)]
        self._alike += shots
        self._to_keep.extend(sorted(shots, key=lambda shot: shot.taken_at))

    def _run(self) -> None:
        try:
            self._recover()
        except Exception as error:  # must not end the keeping of what comes
            log.error("photographs that an earlier run of '%s' left cannot be kept: %s", self._camera, reason(error))
        while True:
            self.alive_at = monotonic()
            with self._work:
                if self._to_encode:
                    work, shot = self._encode, self._to_encode.popleft()
                elif self._to_keep and (self._to_keep[0].gone or monotonic() >= self._retry_at):
                    work, shot = self._keep, self._to_keep.popleft()
                elif self._stop:
                    return
                else:
                    self._work.wait(RETRY_EVERY_S)
                    continue
            try:
                if work(shot) and self.problem is not None:  # something was written
                    log.warning("photographs are written again")
                    self.problem, self._retry_at = None, 0.0
            except OutputError as error:
                if self.problem is None:
                    log.warning("photographs cannot be written; scoring goes on: %s", error)
                self.problem, self._retry_at = reason(error), monotonic() + RETRY_EVERY_S
            except Exception as error:  # what cannot be made into a file must not end the keeping of the others
                self._faults.mistake(f"a photograph of '{self._camera}' cannot be kept", error)
                with self._work:
                    self.lost += not shot.gone
                    shot.gone = True

    def _encode(self, shot: _Shot) -> bool:
        assert shot.rgb is not None
        assert shot.scored is not None
        record = shot.scored.record
        try:
            shot.file = content = encode(
                shot.rgb, mean=shot.mean, std=record.std or 0.0, distribution=record.distribution or (),
                model=record.model, taken_at=shot.taken_at, camera=self._camera, hash=shot.hash,
                quality=self._policy.quality,
            )  # fmt: skip
        finally:
            shot.free()
        path = self._gallery.hold(content, self._camera, shot)
        with self._work:
            shot.file = path
            if shot.gone:
                self._to_keep.appendleft(shot)
        return True

    def _keep(self, shot: _Shot) -> bool:
        if shot.gone:
            if isinstance(shot.file, Path):
                shot.file.unlink(missing_ok=True)
            return False
        assert shot.file is not None
        try:
            kept = self._gallery.save(
                shot.file, camera=self._camera, taken_at=shot.taken_at, mean=shot.mean, rating=shot.rating
            )
        except OutputError:
            with self._work:
                self._to_keep.appendleft(shot)
            raise
        shot.gone, shot.file, shot.scored, shot.name = True, None, None, kept.path.name
        self.shots += 1
        log.info("kept %s (%.2f)", kept.path.name, kept.mean)
        for earlier in shot.superseded:
            if earlier.name is not None:
                self._gallery.supersede(earlier.name)
        shot.superseded = []
        for listener in self._listeners:
            try:
                listener.kept(kept)
            except Exception as error:  # a publisher's own mistake must not end the keeping
                self._faults.mistake("an output failed", error)
        return True

    def _recover(self) -> None:
        # Queues of each window that an earlier process left what it would have kept. A window's other candidates are
        # removed before the first of its best is kept: what is left has all of its best, or nothing but some of them.
        kept = self._gallery.shots(camera=label_in_names(self._camera)) if self._policy.likeness >= 0 else []
        recent = [shot for shot in kept if kept[0].taken_at - shot.taken_at <= self._policy.alike_for_s]
        hashes = [(shot, hash_of(shot.path)) for shot in recent]
        alike = [_Shot(s.mean, 0.0, seen, s.taken_at, name=s.path.name) for s, seen in hashes if seen is not None]
        windows: dict[int, list[_Shot]] = {}
        for path, one in self._gallery.waiting(self._camera):
            shot = _Shot(one.mean, one.taken_mono, one.hash, one.taken_at, one.window, file=path)
            windows.setdefault(one.window, []).append(shot)
        with self._work:
            self._alike += alike
            for _, shots in sorted(windows.items()):
                chosen = choose(shots, self._policy)
                self._choose(chosen, [shot for shot in shots if shot not in chosen])

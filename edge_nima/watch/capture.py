"""The capture thread: reads a source into a slot, and opens it again, for ever, when it is lost."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from time import monotonic

from edge_nima.errors import EdgeNimaError, PictureError, SourceError, reason
from edge_nima.frames import Frame, NothingYet, Source
from edge_nima.watch.slot import Slot

log = logging.getLogger("edge_nima.watch")

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
GRACE_S = 2.0
"""Beyond the time after which a source is lost, a read may still return by itself; then its thread is given up."""
MOST_GIVEN_UP = 4
"""Threads stuck in a driver at once. With more of them the process had better be started anew."""


def backoff(failures: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds to wait before try number `failures` + 1: doubling, at most half a minute, the last half by chance.

    By chance ("equal jitter"), so that a house full of cameras does not come back to its recorder in one instant.
    """
    full = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 16))
    return full / 2 + full / 2 * chance()


class Capture:
    """Keeps one source delivering. `look` is called now and then by the loop; it notices what the thread cannot."""

    def __init__(
        self, make: Callable[[], Source], slot: Slot, lost_after_s: float, source: Source | None = None
    ) -> None:
        """Prepare.

        Args:
            make: gives the source, not yet opened; called again after a thread was given up.
            slot: where frames go.
            lost_after_s: without a frame for so long a live source is lost, seconds.
            source: the first one, open already.
        """
        self._make = make
        self._slot = slot
        self._lost_after_s = lost_after_s
        self._opened = source
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._given_up: list[threading.Thread] = []
        self._alive_at = self._frame_at = monotonic()
        self.problem: str | None = None
        """Why there are no frames now; None while there are."""
        self.ended = False
        """The source has come to its end, and every frame is in the slot."""
        self.delivered = 0
        """Good frames."""
        self.damaged = 0
        self.reconnects = 0
        self.abandoned = 0
        """Reads that never came back."""

    def start(self) -> None:
        """Begin to read."""
        self._alive_at = self._frame_at = monotonic()
        self._stop = threading.Event()
        source, self._opened = self._opened, None
        self._thread = threading.Thread(
            target=self._run, args=(self._stop, source), name="edge-nima capture", daemon=True
        )
        self._thread.start()

    def look(self) -> None:
        """Notice silence, and give up a thread that hangs in its source. Called at least once a second."""
        if self.ended or self._thread is None:
            return
        now = monotonic()
        if now - self._frame_at > self._lost_after_s and self.problem is None:
            self.problem = f"no frame for {now - self._frame_at:.0f} s"
        if now - self._alive_at > self._lost_after_s + GRACE_S and self._thread.is_alive():
            self._give_up()

    @property
    def hopeless(self) -> bool:
        """So many reads hang in the driver that only a new process helps."""
        self._given_up = [thread for thread in self._given_up if thread.is_alive()]
        return len(self._given_up) > MOST_GIVEN_UP

    def close(self, timeout_s: float = 1.0) -> None:
        """Stop reading and let go of the source; a read that hangs is left behind."""
        self._stop.set()
        self._slot.close()
        if self._thread is not None:
            self._thread.join(timeout_s)
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _give_up(self) -> None:
        assert self._thread is not None
        log.warning("a read of the source hangs; it is opened anew")
        self._stop.set()
        self._given_up.append(self._thread)
        self.abandoned += 1
        self.start()

    def _run(self, stop: threading.Event, source: Source | None) -> None:
        failures = 0
        opened = source is not None
        if source is None:
            source = self._make()
        while not stop.is_set():
            delivered = self.delivered
            try:
                if not opened:
                    source.open()
                    opened = True
                self._read_on(source, stop)
                break
            except EdgeNimaError as error:
                problem = reason(error)
            except Exception as error:  # a driver's own; whatever it is, it must not end a camera
                log.exception("reading the source failed")
                problem = f"{error.__class__.__name__}: {reason(error)}"
            if stop.is_set():
                break
            source.close()
            opened = False
            failures = 1 if self.delivered > delivered else failures + 1
            self._fail(problem, failures, stop)
        source.close()

    def _fail(self, problem: str, failures: int, stop: threading.Event) -> None:
        """Say so and wait; while it waits on purpose the thread is not stuck."""
        self.problem = problem
        wait = backoff(failures)
        log.info("the source is tried again in %.1f s: %s", wait, problem)
        until = monotonic() + wait
        while (left := until - monotonic()) > 0 and not stop.wait(min(0.5, left)):
            self._alive_at = monotonic()
        self._alive_at = monotonic()

    def _read_on(self, source: Source, stop: threading.Event) -> None:
        self._alive_at = self._frame_at = monotonic()
        while not stop.is_set():
            try:
                frame = source.read()
            except NothingYet:  # silence is normal there
                self._alive(stop, frame=True)
                continue
            except PictureError as error:
                self.damaged += 1
                log.info("a damaged frame: %s", error)
                self._alive(stop)
                if source.live and monotonic() - self._frame_at > self._lost_after_s:
                    raise SourceError(f"only damaged frames for {self._lost_after_s:g} s: {reason(error)}") from error
                continue
            if frame is None:
                self.ended = not stop.is_set()
                return
            if stop.is_set():
                frame.close()
                return
            self.delivered += 1
            self._alive(stop, frame=True)
            if source.live:
                self._slot.put(frame)
            elif not self._put_in_step(frame, stop):
                frame.close()

    def _put_in_step(self, frame: Frame, stop: threading.Event) -> bool:
        while not self._slot.put_in_step(frame, 0.5):
            if stop.is_set():
                return False
            self._alive(stop, frame=True)
        return True

    def _alive(self, stop: threading.Event, frame: bool = False) -> None:
        """This thread is not stuck, and perhaps there was a frame; a thread that was given up has no say."""
        if stop.is_set():
            return
        self._alive_at = monotonic()
        if frame:
            self._frame_at = self._alive_at
            if self.problem is not None:
                self.problem = None
                self.reconnects += 1

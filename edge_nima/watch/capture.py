"""Capture: a thread that reads a source into a slot, and opens it again, for ever, when it is lost."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from time import monotonic

from edge_nima.errors import EdgeNimaError, PictureError, SourceError, reason
from edge_nima.frame import Frame
from edge_nima.sources import NothingYet, Source
from edge_nima.watch.fault_log import FaultLog

log = logging.getLogger("edge_nima.watch")

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 30.0
GRACE_S = 2.0  # for a read to return by itself, before its thread is abandoned
MOST_ABANDONED = 4  # threads stuck in a driver at once; with more, only a new process helps


def backoff(failures: int, chance: Callable[[], float] = random.random) -> float:
    """Seconds to wait before try `failures` + 1: doubled each time, the last half random, so that cameras spread."""
    full = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 16))
    return full / 2 + full / 2 * chance()


class Slot:
    """The one place between capture and scoring: the newest frame and nothing else, so that no age grows."""

    def __init__(self) -> None:
        self._frame: Frame | None = None
        self._change = threading.Condition()
        self._closed = False
        self.put_count = 0
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        """Leave a frame, in place of one that nobody took."""
        with self._change:
            old = self._swap(frame)
            self.put_count += 1
            self.dropped += old is not None
        if old is not None:
            old.close()

    def put_in_step(self, frame: Frame, timeout: float) -> bool:
        """Leave a frame once the one before it is taken: nothing is dropped. False when that takes longer, seconds."""
        until = monotonic() + timeout
        with self._change:
            while self._frame is not None or self._closed:
                if self._closed or not self._change.wait(max(0.0, until - monotonic())):
                    return False
            self._swap(frame)
            self.put_count += 1
        return True

    def take(self, timeout: float, not_before: float = 0.0) -> Frame | None:
        """Wait `timeout` seconds for a frame; none is taken before the monotonic time `not_before`, the newest then."""
        until = monotonic() + timeout
        with self._change:
            while True:
                now = monotonic()
                if self._frame is not None and now >= not_before:
                    return self._swap(None)
                if now >= until or self._closed:
                    return None
                wake = until if self._frame is None else min(until, not_before)
                self._change.wait(max(0.0, wake - now))

    @property
    def empty(self) -> bool:
        """Whether no frame waits."""
        return self._frame is None

    def close(self) -> None:
        """Let everybody go who waits here, and give back what it holds."""
        with self._change:
            self._closed = True
            frame = self._swap(None)
        if frame is not None:
            frame.close()

    def _swap(self, frame: Frame | None) -> Frame | None:
        old, self._frame = self._frame, frame
        self._change.notify_all()
        return old


class Capture:
    """Keeps one source delivering. `look` is called every second or so from outside: it revives the thread."""

    def __init__(
        self, make: Callable[[], Source], slot: Slot, lost_after_s: float, source: Source | None = None
    ) -> None:
        """Prepare; `make` gives the source, not yet opened, also again; `source` is the first one, open already."""
        self._make, self._slot, self._lost_after_s, self._opened = make, slot, lost_after_s, source
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._abandoned: list[threading.Thread] = []
        self._alive_at = self._frame_at = monotonic()
        self._faults = FaultLog()
        self.problem: str | None = None  # why there are no frames now
        self.ended = False  # the source has come to its end, and every frame is in the slot
        self.delivered = self.damaged = self.reconnects = 0

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
        """Notice silence; abandon a thread that hangs in its source, and replace one that has died."""
        if self.ended or self._thread is None or self._stop.is_set():
            return
        now = monotonic()
        if now - self._frame_at > self._lost_after_s and self.problem is None:
            self.problem = f"no frame for {now - self._frame_at:.0f} s"
        if not self._thread.is_alive():
            log.error("the capture thread has ended; it is started again")
            self.start()
        elif now - self._alive_at > self._lost_after_s + GRACE_S:
            log.warning("a read of the source hangs; it is opened anew")
            self._stop.set()
            self._abandoned.append(self._thread)
            self.start()

    @property
    def hopeless(self) -> bool:
        """Whether so many reads hang in the driver that only a new process helps."""
        self._abandoned = [thread for thread in self._abandoned if thread.is_alive()]
        return len(self._abandoned) > MOST_ABANDONED

    def close(self, timeout_s: float = 1.0) -> None:
        """Stop reading and let go of the source; a read that hangs is left behind."""
        self._stop.set()
        self._slot.close()
        if self._thread is not None:
            self._thread.join(timeout_s)
        if self._opened is not None:
            self._opened.close()
            self._opened = None

    def _run(self, stop: threading.Event, source: Source | None) -> None:
        failures = 0
        opened = source is not None
        while not stop.is_set():
            delivered = self.delivered
            try:
                if source is None:
                    source = self._make()
                if not opened:
                    source.open()
                    opened = True
                self._read_on(source, stop)
                break
            except EdgeNimaError as error:
                problem = reason(error)
            except Exception as error:  # a driver's own; whatever it is, it must not end a camera
                problem = f"{error.__class__.__name__}: {reason(error)}"
                log.debug("reading the source failed", exc_info=True)
            if stop.is_set():
                break
            self._release(source)
            opened = False
            failures = 1 if self.delivered > delivered else failures + 1
            self._wait(problem, failures, stop)
        self._release(source)

    def _release(self, source: Source | None) -> None:
        try:
            if source is not None:
                source.close()
        except Exception as error:  # as above
            self._faults.log(logging.WARNING, f"the source does not close: {reason(error)}")

    def _wait(self, problem: str, failures: int, stop: threading.Event) -> None:
        self.problem = problem
        wait = backoff(failures)
        self._faults.log(logging.INFO, f"the source is tried again in {wait:.1f} s: {problem}")
        until = monotonic() + wait
        while (left := until - monotonic()) > 0 and not stop.wait(min(0.5, left)):
            self._alive_at = monotonic()
        self._alive(stop)

    def _read_on(self, source: Source, stop: threading.Event) -> None:
        if not stop.is_set():
            self._alive_at = self._frame_at = monotonic()
        while not stop.is_set():
            try:
                frame = source.read()
            except NothingYet:  # silence is normal there
                self._alive(stop, frame=True)
                continue
            except PictureError as error:
                self.damaged += 1
                self._faults.log(logging.INFO, f"a damaged frame: {error}")
                self._alive(stop)
                if source.drops and monotonic() - self._frame_at > self._lost_after_s:
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
            if source.drops:
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
        """This thread is not stuck, and perhaps there was a frame; a thread that was abandoned has no say."""
        if stop.is_set():
            return
        self._alive_at = monotonic()
        if frame:
            self._frame_at = self._alive_at
            if self.problem is not None:
                self.problem = None
                self.reconnects += 1

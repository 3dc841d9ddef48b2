"""The thread that writes records: the loop only appends to a bounded queue."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from time import monotonic, time
from typing import Protocol

from edge_nima.errors import EdgeNimaError, reason
from edge_nima.watch.events import Scored

log = logging.getLogger("edge_nima.watch")

WRITE_EVERY_S = 0.5
"""What a power cut may cost: records older than this are on the disk."""
RETRY_EVERY_S = 2.0
"""After a write that failed, a full disk say."""
HELD_AT_MOST = 20_000
"""Records that wait for a disk with room, about 10 MB of them; the oldest go first, counted."""
EVENTS_HELD = 1000
BATCH = 2000


class Store(Protocol):
    """Where records end up."""

    def write(self, batch: Sequence[Scored]) -> None:
        """Write all of them, or none and raise OutputError; on the disk when it returns."""

    def event(self, at: float, kind: str, text: str) -> None:
        """Note something that happened."""

    def close(self) -> None:
        """Finish."""


class Recorder:
    """Takes records at once, writes them every half second, holds them while it cannot."""

    def __init__(self, store: Store, write_every_s: float = WRITE_EVERY_S) -> None:
        self._store = store
        self._every = write_every_s
        self._queue: deque[Scored] = deque()
        self._events: deque[tuple[float, str, str]] = deque(maxlen=EVENTS_HELD)
        self._guard = threading.Lock()
        self._in_hand = 0
        """Records of the batch that the store is writing."""
        self._given_up = False
        self._stop = threading.Event()
        self.problem: str | None = None
        """Why nothing can be written now."""
        self.recorded = 0
        self.lost = 0
        self._thread = threading.Thread(target=self._run, name="edge-nima records", daemon=True)
        self._thread.start()

    def put(self, scored: Scored) -> None:
        """Take one record; returns at once."""
        with self._guard:
            self._queue.append(scored)
            if len(self._queue) > HELD_AT_MOST:
                self._queue.popleft()
                self.lost += 1

    def event(self, kind: str, text: str) -> None:
        """Take a note of something that happened just now."""
        self._events.append((time(), kind, text))

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what is left, as far as that goes in the time; the rest is counted as lost. May be called twice."""
        self._stop.set()
        self._thread.join(timeout_s)
        with self._guard:
            self.lost += len(self._queue)
            self._queue.clear()
            if not self._given_up:
                self._given_up = True
                self.lost += self._in_hand

    def _run(self) -> None:
        wait = self._every
        while not self._stop.wait(wait):
            wait = self._every if self._write_all() else RETRY_EVERY_S
        self._write_all()
        self._store.close()

    def _write_all(self) -> bool:
        while True:
            with self._guard:
                batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                self._in_hand = len(batch)
            started = monotonic()
            try:
                self._write_events()
                if batch:
                    self._store.write(batch)
            except EdgeNimaError as error:
                self._put_back(batch)
                if self.problem is None:
                    log.warning("records cannot be written: %s", error)
                self.problem = reason(error)
                return False
            except Exception as error:  # a mistake in a store must not end the recording of what comes after
                log.exception("%d records cannot be written and are lost", len(batch))
                self._done(batch, lost=True)
                self.problem = reason(error)
                return False
            self._done(batch)
            if self.problem is not None:
                log.warning("records are written again, %d of them late", len(batch))
                self.problem = None
            if not batch:
                return True
            if monotonic() - started > 5 * self._every:
                log.info("writing %d records took %.1f s: a slow card?", len(batch), monotonic() - started)

    def _done(self, batch: Sequence[Scored], lost: bool = False) -> None:
        with self._guard:
            if not lost:
                self.recorded += len(batch)
            if lost != self._given_up:  # counted as lost when it was given up, or to be counted now
                self.lost += len(batch) if lost else -len(batch)
            self._in_hand = 0

    def _put_back(self, batch: Sequence[Scored]) -> None:
        with self._guard:
            self._in_hand = 0
            if self._given_up:
                return  # and counted
            self._queue.extendleft(reversed(batch))
            while len(self._queue) > HELD_AT_MOST:
                self._queue.popleft()
                self.lost += 1

    def _write_events(self) -> None:
        while self._events:
            event = self._events.popleft()
            try:
                self._store.event(*event)
            except EdgeNimaError:
                if len(self._events) < EVENTS_HELD:
                    self._events.appendleft(event)
                raise
            except Exception:  # a mistake in a store; no record is lost for it
                log.exception("an event cannot be written and is lost: %s", event[1])

"""The thread that writes records: a camera only appends to a bounded queue."""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from time import monotonic, time

from edge_nima.errors import EdgeNimaError, reason
from edge_nima.watch.events import Scored
from edge_nima.watch.fault_log import FaultLog
from edge_nima.watch.records import Event, Records

log = logging.getLogger("edge_nima.watch")

WRITE_EVERY_S = 0.5  # from the end of one transaction to the next: what a power cut may cost
REST_S = 5.0  # on a slow card the pause is as long as the last write, so that others have their turn; at most this
RETRY_EVERY_S = 2.0  # after a write that failed, a full disk say
HELD_AT_MOST = 20_000  # records that wait for a disk with room, about 10 MB of them; the oldest go first, counted
EVENTS_HELD = 1000
BATCH = 2000  # records in one transaction


class Recorder:
    """Takes records at once and writes all that came since in one transaction, every half second at most."""

    def __init__(self, records: Records, write_every_s: float = WRITE_EVERY_S) -> None:
        """Start the thread, which closes `records` at its end."""
        self._records, self._every = records, write_every_s
        self._queue: deque[Scored] = deque()
        self._in_hand: list[Scored] = []
        self._events: deque[Event] = deque(maxlen=EVENTS_HELD)
        self._recorded, self._lost = Counter[str](), Counter[str]()
        self._guard, self._stop = threading.Lock(), threading.Event()
        self._given_up, self._faults = False, FaultLog()
        self.problem: str | None = None  # why nothing can be written now
        self.alive_at = monotonic()  # the thread's last sign of life: every five seconds while it is not writing
        self._thread = threading.Thread(target=self._run, name="edge-nima records", daemon=True)
        self._thread.start()

    def put(self, scored: Scored) -> None:
        """Take one record; returns at once."""
        with self._guard:
            self._queue.append(scored)
            self._drop_oldest()

    def event(self, kind: str, text: str) -> None:
        """Take a note of something that happened just now; returns at once."""
        with self._guard:
            self._events.append((time(), kind, text))

    def remember(self, camera: str, mark: int) -> None:
        """Take the mark of a file that has no record, since it is damaged or was left out; returns at once."""
        self._records.memory(camera).remember(mark)

    def counts(self, camera: str) -> tuple[int, int]:
        """How many of a camera's records were written, and how many were lost."""
        with self._guard:
            return self._recorded[camera], self._lost[camera]

    def close(self, timeout_s: float = 1.0) -> int:
        """Write what is left, as far as that goes in the time; how many records are lost. May be called twice."""
        self._stop.set()
        self._thread.join(timeout_s)
        with self._guard:
            left = [] if self._given_up else [*self._in_hand, *self._queue]
            self._given_up = True
            self._queue.clear()
            self._lost.update(scored.camera for scored in left)
        if left:
            log.warning("%d records are not written: %s", len(left), self.problem or "the time to stop is over")
        return len(left)

    def _run(self) -> None:
        wait = self._every
        while not self._stop.wait(wait):
            started = self.alive_at = monotonic()
            written = self._write()
            self.alive_at = monotonic()
            wait = max(self._every, min(self.alive_at - started, REST_S)) if written else RETRY_EVERY_S
        while self._write() and (self._queue or self._events):
            pass
        self._records.close()

    def _write(self) -> bool:
        # What waits, in one transaction; False when that failed.
        with self._guard:
            batch = self._in_hand = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            events = list(self._events)
            self._events.clear()
        problem, counted = None, None
        try:
            self._records.write(batch, events)
            counted = self._recorded
            if self.problem is not None:
                log.warning("records are written again, %d of them late", len(batch))
        except EdgeNimaError as error:
            problem = reason(error)
            if self.problem is None:
                log.warning("records cannot be written: %s", error)
        except Exception as error:  # a mistake in the program must not end the recording of what comes after
            problem, counted = reason(error), self._lost
            self._faults.mistake(f"{len(batch)} records cannot be written and are lost", error)
        with self._guard:
            self.problem, self._in_hand = problem, []
            if not self._given_up and counted is not None:
                counted.update(scored.camera for scored in batch)
            elif not self._given_up:
                self._queue.extendleft(reversed(batch))
                self._drop_oldest()
                self._events = deque([*events, *self._events], EVENTS_HELD)
        return problem is None

    def _drop_oldest(self) -> None:
        while len(self._queue) > HELD_AT_MOST:
            self._lost[self._queue.popleft().camera] += 1

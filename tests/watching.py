"""A watcher in a thread of a test, with listeners that remember."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from edge_nima.frames import Frame
from edge_nima.records import ScoreRecord
from edge_nima.watch.events import Listener, Scored, Shot, Status
from edge_nima.watch.watcher import Watcher


class FakeScoring:
    """Scores as `mean` decides, after `seconds`."""

    def __init__(self, mean: Callable[[int], float] = lambda number: 5.0, seconds: float = 0.0) -> None:
        self.mean, self.seconds = mean, seconds
        self.errors: list[Exception] = []
        self.seen = 0

    def score(self, picture: Frame, name: str | None = None) -> ScoreRecord:
        if self.errors:
            raise self.errors.pop(0)
        if self.seconds:
            time.sleep(self.seconds)
        self.seen += 1
        return ScoreRecord(name or "", self.mean(self.seen), 1.0, (0.1,) * 10, "fake@ffffffff", 1.0)


class Memory(Listener):
    """Remembers all that it is told."""

    def __init__(self) -> None:
        self.scores: list[Scored] = []
        self.shots: list[Shot] = []
        self.statuses: list[Status] = []

    def scored(self, scored: Scored, frame: Frame) -> None:
        self.scores.append(scored)

    def kept(self, shot: Shot) -> None:
        self.shots.append(shot)

    def changed(self, status: Status) -> None:
        self.statuses.append(status)

    @property
    def states(self) -> list[str]:
        """Each change of state, once."""
        states = [status.state.value for status in self.statuses]
        return [state for i, state in enumerate(states) if i == 0 or states[i - 1] != state]


@contextlib.contextmanager
def running(watcher: Watcher) -> Iterator[Watcher]:
    """Run it in a thread until the block ends."""
    thread = threading.Thread(target=watcher.run)
    thread.start()
    try:
        yield watcher
    finally:
        watcher.stop()
        thread.join(60)
        assert not thread.is_alive()


def until(condition: Callable[[], bool], seconds: float = 60.0, what: str = "it did not come to that") -> None:
    """Wait for it; the time is for a machine that is busy, and for what never comes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)

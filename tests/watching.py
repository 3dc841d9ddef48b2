"""A watcher in a thread of a test, with listeners that remember."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from edge_nima.frame import Frame
from edge_nima.records import ScoreRecord
from edge_nima.watch.events import Listener, Scored, Shot, Status
from edge_nima.watch.loop import Watcher


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
        self.closed = 0

    def scored(self, scored: Scored, frame: Frame) -> None:
        self.scores.append(scored)

    def kept(self, shot: Shot) -> None:
        self.shots.append(shot)

    def changed(self, status: Status) -> None:
        self.statuses.append(status)

    def close(self) -> None:
        self.closed += 1

    @property
    def states(self) -> list[str]:
        """Each change of state, once."""
        states = [status.state.value for status in self.statuses]
        return [state for i, state in enumerate(states) if i == 0 or states[i - 1] != state]


@contextlib.contextmanager
def running(watcher: Watcher) -> Iterator[Watcher]:
    """Run it until the block ends, seeing to it as a service does."""
    over = threading.Event()

    def see_to() -> None:
        while not over.wait(0.05):
            watcher.look()

    thread = threading.Thread(target=see_to)
    watcher.start()
    thread.start()
    try:
        yield watcher
    finally:
        over.set()
        thread.join()
        watcher.close(60)
        assert watcher.ended


def until(condition: Callable[[], bool], seconds: float = 60.0, what: str = "it did not come to that") -> None:
    """Wait for it; the time is for a machine that is busy, and for what never comes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.005)

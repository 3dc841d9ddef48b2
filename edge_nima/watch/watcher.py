"""The camera loop: newest frame in, record out, and everything that keeps it going."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic, time
from typing import TYPE_CHECKING, Protocol

from edge_nima.errors import EdgeNimaError, SourceError, reason
from edge_nima.frames import Frame, Source
from edge_nima.records import ScoreRecord
from edge_nima.watch.capture import Capture
from edge_nima.watch.events import Counts, Health, Listener, Scored, State, Status
from edge_nima.watch.health import Board, RateGovernor
from edge_nima.watch.likeness import StillDetector
from edge_nima.watch.notify import Notifier
from edge_nima.watch.recorder import Recorder
from edge_nima.watch.scoring import Scoring, WorkerLost
from edge_nima.watch.slot import Slot

if TYPE_CHECKING:
    from edge_nima.watch.keeper import Keeper

log = logging.getLogger("edge_nima.watch")

LOOK_EVERY_S = 0.25
HEALTH_EVERY_S = 10.0
RATE_OVER_S = 10.0


@dataclass(frozen=True)
class Plan:
    """How a watcher goes about it."""

    fps: float | None = None
    """Score at most so many frames a second; None for as many as it can."""
    still_threshold: float | None = None
    """Leave out frames that changed by less, grey levels; None scores all."""
    max_frames: int | None = None
    """Stop after so many scored frames."""
    duration_s: float | None = None
    """Stop after so long."""
    lost_after_s: float = 10.0
    """Without a frame for so long, a source is lost."""


class Publisher(Protocol):
    """What a watcher wants to know of who sends messages for it."""

    @property
    def published(self) -> int:
        """Messages that arrived."""

    @property
    def lost(self) -> int:
        """Messages that were dropped."""

    @property
    def problem(self) -> str | None:
        """Why none arrive now."""


class Watcher:
    """Watches one source until it ends, `stop` is called, or the plan is fulfilled. Never raises for what passes."""

    def __init__(
        self,
        make_source: Callable[[], Source],
        scoring: Scoring,
        plan: Plan = Plan(),  # frozen
        *,
        camera: str | None = None,
        opened: Source | None = None,
        model: str = "",
        recorder: Recorder | None = None,
        keeper: Keeper | None = None,
        listeners: Sequence[Listener] = (),
        board: Board | None = None,
        notifier: Notifier | None = None,
        publisher: Publisher | None = None,
        longest_edge: int | None = None,
    ) -> None:
        """Prepare; `run` begins.

        Args:
            make_source: gives the source, not opened; called again when a read of it hangs for good.
            scoring: a `Scorer` or a `ScoringProcess`; closed by whoever made it.
            plan: rates and limits.
            camera: what records call the source; None for its own label.
            opened: the source, open already; None has the watcher open it, and try for ever.
            model: the model's label, for `status`.
            recorder: takes the records.
            keeper: takes candidates for the best of a window.
            listeners: told what happens, on this loop's thread.
            board: read for temperature and the like.
            notifier: the service manager's.
            publisher: one of the listeners, whose messages `status` counts.
            longest_edge: to which the model's preprocessing reduces larger frames, pixels; said once when one comes.
        """
        source = opened or make_source()
        self.camera = camera or source.label
        self.live = source.live
        self._own_names = {"frame", source.label, self.camera}
        self._scoring, self._plan, self._model = scoring, plan, model
        self._recorder, self._keeper, self._listeners = recorder, keeper, tuple(listeners)
        self._board, self._notifier = board, notifier or Notifier()
        self._publisher = publisher
        self._longest_edge = longest_edge
        self._slot = Slot()
        self._capture = Capture(make_source, self._slot, plan.lost_after_s, opened)
        self._stop = threading.Event()
        self._still = None if plan.still_threshold is None else StillDetector(plan.still_threshold)
        self._governor = RateGovernor()
        self._pace = 1.0
        self._next_at = self._next_film_at = 0.0
        self._counts = Counts()
        self._state, self._since = State.starting, time()
        self._scored_at: deque[float] = deque(maxlen=4096)
        self._last: Scored | None = None
        self._health: Health | None = None
        self._scoring_problem: str | None = None
        self._started = monotonic()
        self._next_look = self._next_health = 0.0

    def stop(self) -> None:
        """Have `run` finish the window and return; from any thread or signal handler."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether `stop` was called."""
        return self._stop.is_set()

    def breathe(self) -> bool:
        """Called by whatever the loop waits in: tells the service manager that it lives; False when it is to stop."""
        self._notifier.alive()
        return not self._stop.is_set()

    def run(self) -> None:
        """Watch.

        Raises:
            SourceError: so many reads hang in the driver that only a new process helps.
        """
        self._started = monotonic()
        self._capture.start()
        self._notifier.ready()  # also while the source is not there: waiting for it is what we are for
        try:
            while not self._stop.is_set() and not self._fulfilled():
                now = monotonic()
                if now >= self._next_look:
                    self._look(now)
                frame = self._slot.take(LOOK_EVERY_S, self._next_at)
                if frame is not None:
                    try:
                        self._handle(frame)
                    finally:
                        frame.close()
                elif self._capture.ended and self._slot.empty:
                    break
        finally:
            self._finish()

    def status(self) -> Status:
        """What it is doing; from any thread."""
        counts = replace(
            self._counts,
            captured=self._slot.put_count,
            dropped=self._counts.dropped + self._slot.dropped,
            damaged=self._capture.damaged,
            reconnects=self._capture.reconnects,
        )
        if self._recorder is not None:
            counts.recorded, counts.records_lost = self._recorder.recorded, self._recorder.lost
        if self._keeper is not None:
            counts.shots, counts.shots_lost = self._keeper.shots, self._keeper.lost
        counts.worker_restarts = int(getattr(self._scoring, "restarts", 0))
        if self._publisher is not None:
            counts.published, counts.publish_lost = self._publisher.published, self._publisher.lost
        now = monotonic()
        return Status(
            camera=self.camera, state=self._state, since=self._since, uptime_s=now - self._started,
            fps=self._rate(now), model=self._model, counts=counts, last=self._last, health=self._health,
            problem=self._problem(),
        )  # fmt: skip

    def _problem(self) -> str | None:
        problems = [
            self._capture.problem,
            self._scoring_problem,
            None if self._recorder is None else self._recorder.problem,
            None if self._keeper is None else self._keeper.problem,
            None if self._publisher is None else self._publisher.problem,
        ]
        return "; ".join(dict.fromkeys(problem for problem in problems if problem)) or None

    def _rate(self, now: float) -> float:
        recent = [at for at in tuple(self._scored_at) if at > now - RATE_OVER_S]
        return len(recent) / max(0.1, min(RATE_OVER_S, now - self._started)) if len(recent) > 1 else 0.0

    def _fulfilled(self) -> bool:
        most, seconds = self._plan.max_frames, self._plan.duration_s
        return (most is not None and self._counts.scored + self._counts.failed >= most) or (
            seconds is not None and monotonic() - self._started >= seconds
        )

    def _handle(self, frame: Frame) -> None:
        began = monotonic()
        if not self._due(frame, began):
            self._counts.dropped += 1
            return
        if self._still is not None and not self._still.moved(frame.rgb):
            self._counts.still += 1
            self._set_pace(began)
            return
        if self.live and self._longest_edge is not None and max(frame.rgb.shape) > self._longest_edge:
            height, width = frame.rgb.shape[:2]
            log.info(
                "frames are %dx%d: each is reduced to %d pixels before it is scored, which costs time; a second stream "
                "of the camera that is no larger saves that",
                width, height, self._longest_edge,
            )  # fmt: skip
            self._longest_edge = None
        name = frame.name if frame.name not in self._own_names else f"{self.camera}/{utc(frame.taken_at)}"
        record = self._score(frame, name)
        scored = Scored(record, self.camera, frame.taken_at, round((monotonic() - began) * 1e3, 3))
        if self.live:
            scored = replace(scored, age_ms=round((monotonic() - frame.taken_mono) * 1e3, 3))
        self._last = scored
        self._scored_at.append(monotonic())
        if self._recorder is not None:
            self._recorder.put(scored)
        if self._keeper is not None and record.mean is not None:
            self._keeper.offer(scored, frame)
        for listener in self._listeners:
            self._tell(listener.scored, scored, frame)
        self._set_pace(began)

    def _score(self, frame: Frame, name: str) -> ScoreRecord:
        try:
            record = self._scoring.score(frame, name)
        except EdgeNimaError as error:
            self._counts.failed += 1
            if self._scoring_problem is None and not self._stop.is_set():
                log.warning("a frame could not be scored: %s", error)
                self._note("scoring", reason(error))
            self._scoring_problem = reason(error)
            if isinstance(error, WorkerLost):
                self._next_at = monotonic() + error.wait_s
            return ScoreRecord(name, None, None, None, self._model, 0.0, reason(error))
        self._counts.scored += 1
        self._scoring_problem = None
        return record

    def _due(self, frame: Frame, now: float) -> bool:
        """Whether --fps lets this frame of a film through; live frames are held back by `_next_at`."""
        if self.live or self._plan.fps is None:
            return True
        if frame.taken_mono < self._next_film_at - 1e-6 and frame.taken_mono > self._next_film_at - 60:
            return False
        interval = 1 / self._plan.fps
        late = not self._next_film_at <= frame.taken_mono < self._next_film_at + interval
        self._next_film_at = (frame.taken_mono if late else self._next_film_at) + interval
        return True

    def _set_pace(self, began: float) -> None:
        now = monotonic()
        interval = 1 / self._plan.fps if self._plan.fps is not None and self.live else 0.0
        if self._pace < 1.0:
            interval = max(interval, now - began) / self._pace
        if interval:
            # From when this one was due, so that the rate holds on average; never to catch up with what is gone.
            self._next_at = (
                max(self._next_at + interval, began) if self._next_at > began - interval else began + interval
            )

    def _look(self, now: float) -> None:
        self._next_look = now + LOOK_EVERY_S
        self._notifier.alive()
        self._capture.look()
        if self._keeper is not None:
            self._keeper.look(now if self.live else None)
        self._set_state(self._seen_state())
        if now >= self._next_health:
            self._next_health = now + HEALTH_EVERY_S
            if self._board is not None:
                self._health = self._board.read()
                pace = self._governor.update(self._health)
                if (pace < 1.0) != (self._pace < 1.0):
                    told = "throttled: the rate is reduced" if pace < 1.0 else "no longer throttled"
                    log.warning(told)
                    self._note("throttling", told)
                self._pace = pace
            self._tell_all()
        if self._capture.hopeless:
            raise SourceError("reads of the source hang in its driver, and so does opening it anew; start again")

    def _seen_state(self) -> State:
        if self._capture.problem is not None:
            return State.lost
        return State.watching if self._slot.put_count or self._capture.ended else self._state

    def _set_state(self, state: State) -> None:
        if state == self._state:
            return
        self._state, self._since = state, time()
        problem = self._capture.problem
        if state == State.lost:
            self._counts.lost += 1
            log.warning("%s: the source is lost: %s", self.camera, problem)
            self._note("lost", problem or "")
        elif state == State.watching:
            log.info("%s: watching", self.camera)
            self._note("watching", "")
        self._notifier.status(f"{self.camera}: {state.value}{f', {problem}' if problem else ''}")
        self._tell_all()

    def _note(self, kind: str, text: str) -> None:
        if self._recorder is not None:
            self._recorder.event(kind, text)

    def _tell_all(self) -> None:
        status = self.status()
        for listener in self._listeners:
            self._tell(listener.changed, status)

    def _tell(self, call: Callable[..., None], *values: object) -> None:
        try:
            call(*values)
        except Exception:  # a publisher's or the page's own mistake must not end a camera
            log.exception("a listener failed")

    def _finish(self) -> None:
        self._notifier.stopping()
        self._capture.close(0.2)
        if self._keeper is not None:
            self._keeper.finish(0.7)
        self._set_state(State.stopped)
        if self._recorder is not None:
            self._recorder.close(0.4)


def utc(at: float) -> str:
    """A wall-clock time as "2026-11-24T08:30:00.123Z"."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

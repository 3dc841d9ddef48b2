"""The camera loop: newest frame in, score out, and everything that keeps one camera going."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import inf
from time import monotonic, time
from typing import Protocol

from edge_nima.errors import EdgeNimaError, printable, reason
from edge_nima.frame import Frame
from edge_nima.records import ScoreRecord
from edge_nima.similarity import StillDetector
from edge_nima.sources import Source
from edge_nima.watch.capture import Capture, Slot
from edge_nima.watch.events import Counts, Health, Listener, Scored, State, Status
from edge_nima.watch.fault_log import FaultLog
from edge_nima.watch.keeper import Keeper
from edge_nima.watch.recorder import Recorder
from edge_nima.watch.schedule import PictureMonitor, Schedule
from edge_nima.watch.units import utc_text
from edge_nima.watch.worker import WorkerLost

log = logging.getLogger("edge_nima.watch")

LOOK_EVERY_S = 0.25
RATE_OVER_S = 10.0
TRIES = 3  # to score one frame of a source that drops none, while the scoring process is lost each time


class Scoring(Protocol):
    """What a camera is scored with, by several at once: a `WorkerProcess`, or a test's fake."""

    def score(self, picture: Frame, name: str | None = None) -> ScoreRecord:
        """Score one frame; EdgeNimaError when it cannot be."""


@dataclass(frozen=True)
class WatchLimits:
    """What is scored of what a camera gives."""

    fps: float | None = None  # at most so many frames a second
    still_threshold: float | None = None  # leave out frames that changed by less, grey levels
    schedule: Schedule | None = None  # times at which frames are scored
    dark: float | None = None  # leave out frames whose mean grey level is below this, 0..255
    frozen_after_s: float = 60.0  # warn of a picture that stays the same, or black, for so long; 0 for never
    max_frames: int | None = None  # stop after so many scored frames
    duration_s: float | None = None  # stop after so long
    lost_after_s: float = 10.0  # without a frame for so long, a source is lost


class Watcher:
    """Watches one source in a thread of its own, until it ends, `stop` is called, or a limit is reached."""

    def __init__(
        self,
        make_source: Callable[[], Source],
        scoring: Scoring,
        limits: WatchLimits = WatchLimits(),  # frozen
        *,
        camera: str | None = None,
        opened: Source | None = None,
        model: str = "",
        recorder: Recorder | None = None,
        keeper: Keeper | None = None,
        listeners: Sequence[Listener] = (),
        longest_edge: int | None = None,
    ) -> None:
        """Prepare; `start` begins.

        `make_source` gives the source, not opened, also again when a read of it hangs for good; `opened` is the first
        one, open already, else it is tried for ever. `camera` is its name in records, `model` the model's in `status`.
        Frames above `longest_edge`, to which the model reduces them, pixels, are logged once.
        """
        source = opened or make_source()
        self.camera = camera or source.label
        self.drops, self.real_time = source.drops, source.real_time
        self.health: Health | None = None  # of the board, set by the service
        self.pace = 1.0  # by how much to slow down, 0.1..1, so that a hot board recovers; set by the service
        self.alive_at = monotonic()
        """Monotonic time at which the loop was last known to go on."""
        self.failed: BaseException | None = None
        """The mistake that ended the thread."""
        self._own_names = {"frame", source.label, self.camera}
        self._scoring, self._limits, self._model = scoring, limits, model
        self._recorder, self._keeper, self._listeners = recorder, keeper, tuple(listeners)
        self._longest_edge = longest_edge
        self._slot = Slot()
        self._capture = Capture(make_source, self._slot, limits.lost_after_s, opened)
        self.stopping = threading.Event()
        self._still = None if limits.still_threshold is None else StillDetector(limits.still_threshold)
        # Of files, equal ones are no fault.
        self._picture = PictureMonitor(limits.dark, (limits.frozen_after_s or inf) if self.drops else inf)
        self._next_at = self._next_video_at = 0.0
        self._counts = Counts()
        self._state, self._since = State.starting, time()
        self._scored_at: deque[float] = deque(maxlen=4096)
        self._last: Scored | None = None
        self._scoring_problem: str | None = None
        self._faults = FaultLog()
        self._started = monotonic()
        self._thread = threading.Thread(target=self._run, name=f"edge-nima {self.camera}", daemon=True)

    def start(self) -> None:
        """Begin to capture and to score."""
        self._started = self.alive_at = monotonic()
        self._capture.start()
        self._thread.start()

    def stop(self) -> None:
        """Have it end; returns at once, from any thread or signal handler."""
        self.stopping.set()

    @property
    def ended(self) -> bool:
        """Whether the loop has ended: the source's end, a limit, `stop`, or a mistake."""
        return self._thread.ident is not None and not self._thread.is_alive()

    @property
    def hopeless(self) -> bool:
        """Whether so many reads of the source hang in its driver that only a new process helps."""
        return self._capture.hopeless

    def waits(self) -> bool:
        """Whether it is this loop's thread that calls, waiting for an inference: a sign of life."""
        if threading.current_thread() is not self._thread:
            return False
        self.alive_at = monotonic()
        return True

    def close(self, timeout_s: float) -> None:
        """Stop, and let go of the source; a read that hangs is left behind."""
        self.stopping.set()
        self._capture.close(min(timeout_s, 0.2))
        if self._thread.ident is not None:
            self._thread.join(timeout_s)

    def look(self) -> None:
        """See to the capture, and tell when the state has changed. Called by the service several times a second."""
        self._capture.look()
        self._set_state(self._seen_state())

    def tell(self, state: State | None = None) -> None:
        """Tell the listeners the status now; of a new state where one is given."""
        if state is not None and state is not self._state:
            self._state, self._since = state, time()
        status = self.status()
        for listener in self._listeners:
            self._call(listener.changed, status)

    def status(self) -> Status:
        """What it is doing; from any thread."""
        counts = replace(
            self._counts,
            captured=self._slot.put_count,
            dropped=self._counts.dropped + self._slot.dropped,
            damaged=self._capture.damaged,
            reconnects=self._capture.reconnects,
            worker_restarts=int(getattr(self._scoring, "restarts", 0)),
        )
        if self._recorder is not None:
            counts.recorded, counts.records_lost = self._recorder.counts(self.camera)
        if self._keeper is not None:
            counts.shots, counts.shots_lost = self._keeper.shots, self._keeper.lost
        delivered = [listener.delivered(self.camera) for listener in self._listeners]
        counts.published, counts.publish_lost = sum(one for one, _ in delivered), sum(lost for _, lost in delivered)
        now = monotonic()
        return Status(
            camera=self.camera, state=self._state, since=self._since, uptime_s=now - self._started,
            fps=self._rate(now), model=self._model, counts=counts, last=self._last, health=self.health,
            problem=self._problem(),
        )  # fmt: skip

    def _problem(self) -> str | None:
        problems = [
            self._capture.problem,
            self._picture.problem if self._capture.problem is None else None,
            self._scoring_problem,
            None if self._recorder is None else self._recorder.problem,
            None if self._keeper is None else self._keeper.problem,
            *(listener.problem(self.camera) for listener in self._listeners),
        ]
        return "; ".join(dict.fromkeys(problem for problem in problems if problem)) or None

    def _rate(self, now: float) -> float:
        recent = [at for at in tuple(self._scored_at) if at > now - RATE_OVER_S]
        return len(recent) / max(0.1, min(RATE_OVER_S, now - self._started)) if len(recent) > 1 else 0.0

    def _run(self) -> None:
        try:
            while not self.stopping.is_set() and not self._limit_reached():
                self.alive_at = monotonic()
                if self._keeper is not None:
                    self._keeper.look(self.alive_at if self.real_time else None)
                if not self.drops and not self._scheduled():  # what is never dropped waits
                    self.stopping.wait(LOOK_EVERY_S)
                    continue
                frame = self._slot.take(LOOK_EVERY_S, self._next_at)
                if frame is not None:
                    try:
                        self._handle(frame)
                    finally:
                        frame.close()
                elif self._capture.ended and self._slot.empty:
                    break
        except BaseException as error:  # the service ends with it: whoever watches us starts us again
            self._faults.mistake(f"{self.camera}: the loop failed", error)
            self.failed = error

    def _limit_reached(self) -> bool:
        most, seconds = self._limits.max_frames, self._limits.duration_s
        return (most is not None and self._counts.scored + self._counts.failed >= most) or (
            seconds is not None and monotonic() - self._started >= seconds
        )

    def _scheduled(self) -> bool:
        return self._limits.schedule is None or self._limits.schedule.active(time())

    def _handle(self, frame: Frame) -> None:
        began = monotonic()
        if not self._due(frame, began):
            self._counts.dropped += 1
            return
        self._picture.look(frame.rgb, began)
        if not self._scheduled() or self._picture.dark:
            self._counts.paused += 1
            self._leave_out(frame, began)
            return
        if self._still is not None and not self._still.moved(frame.rgb):
            self._counts.still += 1
            self._leave_out(frame, began)
            return
        if self.drops and self._longest_edge is not None and max(frame.rgb.shape) > self._longest_edge:
            height, width = frame.rgb.shape[:2]
            log.info(
                "%s: frames are %dx%d: each is reduced to %d pixels before it is scored, which costs time; a second "
                "stream of the camera that is no larger saves that",
                self.camera, width, height, self._longest_edge,
            )  # fmt: skip
            self._longest_edge = None
        name = frame.name if frame.name not in self._own_names else f"{self.camera}/{utc_text(frame.taken_at)}"
        record = self._score(frame, name)
        if record is None:
            return
        now = monotonic()
        age_ms = (now - (frame.taken_mono if self.real_time else began)) * 1e3
        scored = Scored(record, self.camera, frame.taken_at, round(age_ms, 3), frame.mark)
        self._last = scored
        if record.mean is not None:
            self._scored_at.append(now)
        if self._recorder is not None:
            self._recorder.put(scored)
        if self._keeper is not None and record.mean is not None:
            self._keeper.offer(scored, frame)
        for listener in self._listeners:
            self._call(listener.scored, scored, frame)
        self._set_pace(began)

    def _leave_out(self, frame: Frame, began: float) -> None:
        if frame.mark is not None and self._recorder is not None:
            self._recorder.remember(self.camera, frame.mark)  # not to be scored after a restart
        self._set_pace(began)

    def _score(self, frame: Frame, name: str) -> ScoreRecord | None:
        """The frame's record, with the error where it has no score; None when it is stopped meanwhile."""
        for tries in range(1, TRIES + 1):
            try:
                record = self._scoring.score(frame, name)
            except EdgeNimaError as error:
                if self.stopping.is_set():
                    return None
                problem = reason(error)
                self._faults.log(logging.WARNING, f"{self.camera}: a frame could not be scored: {error}")
                if self._scoring_problem is None:
                    self._note("scoring", problem)
                self._scoring_problem = problem
                if isinstance(error, WorkerLost):
                    self._next_at = monotonic() + error.wait_s
                    if not self.drops and tries < TRIES:  # a file is not lost for it
                        if self._wait_until(self._next_at):
                            continue
                        return None
                    if not self.drops:
                        log.error("%s: '%s' is left without a score: %s", self.camera, printable(name), problem)
                self._counts.failed += 1
                return ScoreRecord(name, None, None, None, self._model, 0.0, problem)
            self._counts.scored += 1
            self._scoring_problem = None
            return record
        return None

    def _wait_until(self, at: float) -> bool:
        """Wait until a monotonic time; False when it is stopped meanwhile."""
        while (left := at - monotonic()) > 0 and not self.stopping.wait(min(LOOK_EVERY_S, left)):
            self.alive_at = monotonic()
        return not self.stopping.is_set()

    def _due(self, frame: Frame, now: float) -> bool:
        """Whether --fps lets this frame of a video through; frames in real time are held back by `_next_at`."""
        if self.real_time or self._limits.fps is None:
            return True
        interval = 1 / self._limits.fps
        ahead = self._next_video_at - frame.taken_mono
        if 1e-6 < ahead <= interval:  # further ahead: the video was opened anew, and begins again
            return False
        late = not -interval < ahead <= 1e-6
        self._next_video_at = (frame.taken_mono if late else self._next_video_at) + interval
        return True

    def _set_pace(self, began: float) -> None:
        now = monotonic()
        interval = 1 / self._limits.fps if self._limits.fps is not None and self.real_time else 0.0
        if self.pace < 1.0:
            interval = max(interval, now - began) / self.pace
        if interval:
            # From when this one was due, so that the rate holds on average; never to catch up with what is gone.
            self._next_at = (
                max(self._next_at + interval, began) if self._next_at > began - interval else began + interval
            )

    def _seen_state(self) -> State:
        if self._capture.problem is not None:
            return State.lost
        if not self._scheduled() or self._picture.dark:
            return State.paused
        return State.watching if self._slot.put_count or self._capture.ended else self._state

    def _set_state(self, state: State) -> None:
        if state == self._state:
            return
        self._state, self._since = state, time()
        problem = self._capture.problem
        if state == State.lost:
            self._counts.lost += 1
            self._faults.log(logging.WARNING, f"{self.camera}: the source is lost: {problem}")
            self._note("lost", problem or "")
        else:
            log.info("%s: %s", self.camera, state.value)
            self._note(state.value, "")
        self.tell()

    def _note(self, kind: str, text: str) -> None:
        if self._recorder is not None:
            self._recorder.event(kind, f"{self.camera}: {text}" if text else self.camera)

    def _call(self, call: Callable[..., None], *values: object) -> None:
        try:
            call(*values)
        except Exception as error:  # an output's own mistake must not end a camera
            self._faults.mistake("an output failed", error)

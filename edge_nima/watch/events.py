"""What a watcher tells: scores, shots, states, health and counts. Plain values, and the listener that takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from edge_nima.frame import Frame
from edge_nima.records import ScoreRecord


class State(StrEnum):
    """What a watcher is doing."""

    starting = "starting"
    watching = "watching"
    paused = "paused"  # outside the times of --when, or too dark
    lost = "lost"  # the source gives no frames; it is tried again until it does
    stopped = "stopped"


@dataclass(frozen=True)
class Scored:
    """One scored frame of a camera: what records are made of."""

    record: ScoreRecord  # `record.name` is "CAMERA/2026-11-24T08:30:00.123Z"
    camera: str  # the source's label
    taken_at: float  # wall-clock time of the capture, seconds since 1970 UTC
    age_ms: float  # from capture to score, milliseconds
    mark: int | None = None  # of the frame: stands for a file of a watched folder


@dataclass(frozen=True)
class Shot:
    """One kept photograph."""

    path: Path
    camera: str
    taken_at: float
    mean: float
    rating: int  # 1..5 stars, by the percentile of its mean among the camera's recent scores
    size: int  # bytes
    favourite: bool = False  # chosen by a person: never removed to make room


@dataclass(frozen=True)
class Health:
    """How the board is. None where the machine does not say."""

    at: float  # wall-clock time, seconds since 1970 UTC
    temperature_c: float | None = None
    throttled: bool | None = None  # the processor is slowed down now, by heat or voltage
    undervoltage: bool | None = None  # the supply is too weak now
    flags: int | None = None  # the Raspberry Pi firmware's throttling bits; 16..19 are of what has been since boot
    free_disk: int | None = None  # bytes free where the shots go
    memory: int | None = None  # resident bytes of this process and its worker


@dataclass
class Counts:
    """What has happened since the start. Every frame and record that was not kept is counted somewhere here."""

    captured: int = 0  # frames that the source gave
    dropped: int = 0  # replaced by a newer one before their turn, or left out by --fps
    still: int = 0  # left out since nothing moved
    paused: int = 0  # left out since it was not the time of --when, or too dark
    damaged: int = 0  # could not be decoded
    scored: int = 0
    failed: int = 0  # could not be scored
    recorded: int = 0  # written to the records
    records_lost: int = 0  # not written: the disk was full for longer than the buffer lasted
    shots: int = 0
    shots_lost: int = 0  # would have been kept; could not be written
    lost: int = 0  # times the source was declared lost
    reconnects: int = 0
    worker_restarts: int = 0
    published: int = 0
    publish_lost: int = 0  # messages dropped while the broker was away for longer than the buffer lasted


@dataclass(frozen=True)
class Status:
    """A watcher at one moment: for the page, the metrics and the broker."""

    camera: str
    state: State
    since: float  # wall-clock time since which it is in this state, seconds since 1970 UTC
    uptime_s: float
    fps: float  # scored frames a second, over the last ten seconds or so
    model: str
    counts: Counts = field(default_factory=Counts)
    last: Scored | None = None
    health: Health | None = None
    problem: str | None = None  # what is wrong now, on one line: the source is lost, the disk is full


class Listener:
    """Told what happens, of every camera of a service. Cameras call from threads of their own, also at the same time.

    Every method returns at once and raises nothing.
    """

    def scored(self, scored: Scored, frame: Frame) -> None:
        """A frame was scored. Its pixels are valid during this call only."""

    def kept(self, shot: Shot) -> None:
        """A photograph was written."""

    def removed(self, shot: Shot) -> None:
        """A photograph was removed: to make room, by a better one that shows the same, or by a person."""

    def changed(self, status: Status) -> None:
        """The state of a camera changed, or health was read (every ten seconds)."""

    def problem(self, camera: str) -> str | None:
        """What is wrong now, on one line, or None: the broker is away."""
        return None

    def delivered(self, camera: str) -> tuple[int, int]:
        """How many messages about a camera have arrived, and how many were dropped."""
        return 0, 0

    def close(self) -> None:
        """The service has stopped, or reads its settings again; may take half a second."""

"""What a watcher tells: scores, shots, states, health and counts. Plain values, and the listener that takes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from edge_nima.frames import Frame
from edge_nima.records import ScoreRecord


class State(StrEnum):
    """What a watcher is doing."""

    starting = "starting"
    watching = "watching"
    lost = "lost"
    """The source gives no frames; it is tried again until it does."""
    stopped = "stopped"


@dataclass(frozen=True)
class Scored:
    """One scored frame of a camera: what records are made of."""

    record: ScoreRecord
    """`record.name` is "CAMERA/2026-11-24T08:30:00.123Z"."""
    camera: str
    """The source's label."""
    taken_at: float
    """Wall-clock time of the capture, seconds since 1970 UTC."""
    age_ms: float
    """From capture to score, milliseconds."""


@dataclass(frozen=True)
class Shot:
    """One kept photograph."""

    path: Path
    camera: str
    taken_at: float
    mean: float
    rating: int
    """1..5 stars, by the percentile of its mean among the camera's recent scores."""
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Health:
    """How the board is. None where the machine does not say."""

    at: float
    """Wall-clock time, seconds since 1970 UTC."""
    temperature_c: float | None = None
    throttled: bool | None = None
    """The processor is slowed down now, by heat or voltage."""
    undervoltage: bool | None = None
    """The supply is too weak now."""
    flags: int | None = None
    """The Raspberry Pi firmware's throttling bits, also of what has been since boot (bits 16..19)."""
    free_disk: int | None = None
    """Bytes free where the shots go."""
    memory: int | None = None
    """Resident bytes of this process and its worker."""


@dataclass
class Counts:
    """What has happened since the start. Every frame and record that was not kept is counted somewhere here."""

    captured: int = 0
    """Frames that the source gave."""
    dropped: int = 0
    """Replaced by a newer one before their turn, or left out by --fps."""
    still: int = 0
    """Left out since nothing moved."""
    damaged: int = 0
    """Could not be decoded."""
    scored: int = 0
    failed: int = 0
    """Could not be scored."""
    recorded: int = 0
    """Written to the records."""
    records_lost: int = 0
    """Not written: the disk was full for longer than the buffer lasted."""
    shots: int = 0
    shots_lost: int = 0
    """Would have been kept; could not be written."""
    lost: int = 0
    """Times the source was declared lost."""
    reconnects: int = 0
    worker_restarts: int = 0
    published: int = 0
    publish_lost: int = 0
    """Messages dropped while the broker was away for longer than the buffer lasted."""


@dataclass(frozen=True)
class Status:
    """A watcher at one moment: for the page, the metrics and the broker."""

    camera: str
    state: State
    since: float
    """Wall-clock time since which it is in this state, seconds since 1970 UTC."""
    uptime_s: float
    fps: float
    """Scored frames a second, over the last ten seconds or so."""
    model: str
    counts: Counts = field(default_factory=Counts)
    last: Scored | None = None
    health: Health | None = None
    problem: str | None = None
    """What is wrong now, on one line: the source is lost, the disk is full."""


class Listener:
    """Is told what happens, on the loop's thread: every method returns at once and raises nothing."""

    def scored(self, scored: Scored, frame: Frame) -> None:
        """A frame was scored. Its pixels hold during this call only."""

    def kept(self, shot: Shot) -> None:
        """A photograph was written. Called on the writer's thread."""

    def changed(self, status: Status) -> None:
        """The state changed, or health was taken (every ten seconds)."""

    def close(self) -> None:
        """The watcher has stopped; may take half a second."""

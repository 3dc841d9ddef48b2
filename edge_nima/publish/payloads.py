"""What the messages say: JSON, times in UTC, numbers in the units of their names."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from time import time
from typing import Any

from edge_nima.watch.events import Scored, Shot, State, Status

OFFLINE = "offline"
"""The state that the broker itself tells when the connection broke off; a watcher never says it."""


def score(scored: Scored, still: bool = False) -> bytes:
    """A score: mean and std in rating points, distribution of ten proportions, age and elapsed in milliseconds.

    `still` marks the last score said again, since nothing has moved in front of the camera since.
    """
    record = scored.record
    return _json(
        {
            "mean": _rounded(record.mean),
            "std": _rounded(record.std),
            "distribution": None if record.distribution is None else [round(p, 5) for p in record.distribution],
            "taken_at": iso(scored.taken_at),
            "age_ms": _rounded(scored.age_ms, 1),
            "model": record.model,
            "elapsed_ms": _rounded(record.elapsed_ms, 2),
            "still": still,
        }
    )


def shot(kept: Shot) -> bytes:
    """A kept photograph: where it is, its mean, its stars 1..5 and its bytes."""
    return _json(
        {
            "taken_at": iso(kept.taken_at),
            "path": str(kept.path).encode("utf-8", "backslashreplace").decode(),
            "mean": _rounded(kept.mean),
            "rating": kept.rating,
            "size": kept.size,
        }
    )


def state(status: Status) -> bytes:
    """What the watcher is doing, since when, and what is wrong."""
    return _state(status.state.value, iso(status.since), status.problem, status.model)


def stopped(last: Status | None) -> bytes:
    """The state at the very end, where the watcher has not told it itself."""
    if last is not None and last.state is State.stopped:
        return state(last)
    return _state(State.stopped.value, iso(time()), None, None if last is None else last.model)


def offline() -> bytes:
    """The last will."""
    return _state(OFFLINE, None, "the connection to the broker broke off", None)


def _state(word: str, since: str | None, problem: str | None, model: str | None) -> bytes:
    return _json({"state": word, "since": since, "problem": problem, "model": model})


def health(status: Status) -> bytes:
    """How the board is (null where it does not say), frames a second, and all counts since the start."""
    board = status.health
    return _json(
        {
            "at": None if board is None else iso(board.at),
            "temperature_c": None if board is None else _rounded(board.temperature_c, 1),
            "throttled": None if board is None else board.throttled,
            "undervoltage": None if board is None else board.undervoltage,
            "flags": None if board is None else board.flags,
            "free_disk": None if board is None else board.free_disk,
            "memory": None if board is None else board.memory,
            "fps": _rounded(status.fps, 2),
            "uptime_s": _rounded(status.uptime_s, 0),
            "counts": asdict(status.counts),
        }
    )


def iso(seconds: float) -> str:
    """Seconds since 1970 UTC as 2026-11-24T08:30:00.123Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def _rounded(value: float | None, digits: int = 4) -> float | None:
    return None if value is None else round(value, digits)


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")

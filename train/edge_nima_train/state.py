"""Where training is: everything that the next step depends on, in one file that is whole or not there."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.records import write_whole

Arrays = list[NDArray[Any]]


@dataclass
class Position:
    """How far a run is."""

    phase: int = 1
    epoch: int = 0
    """Epochs of this phase that are done."""
    step: int = 0
    """Steps of the current epoch that are done."""
    losses: list[float] = field(default_factory=list)
    """Of those steps."""
    seconds: float = 0.0
    """That the current epoch has taken."""
    best: float | None = None
    """The lowest validation loss of the run."""
    phase_best: float | None = None
    """That of this phase."""
    stale: int = 0
    """Epochs of this phase since its best."""
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def begun_phase(self) -> bool:
        """Whether a step of this phase is done."""
        return bool(self.epoch or self.step)

    @property
    def begun(self) -> bool:
        """Whether a step of the run is done."""
        return bool(self.history) or self.begun_phase


@dataclass
class State:
    """A position, and the variables that belong to it."""

    position: Position
    network: Arrays
    """Weights, normalisation statistics, and the seeds of Dropout."""
    optimizer: Arrays
    """Empty between phases."""


def save_state(path: Path, state: State) -> None:
    """Write a state, whole.

    Raises:
        OutputError: it cannot be written; the earlier one is as it was.
    """
    try:
        write_whole(path, to_bytes(state))
    except OSError as error:
        raise OutputError(f"cannot save where training is, '{printable(path)}': {reason(error)}") from error


def load_state(path: Path) -> State | None:
    """Read what `save_state` wrote; None where nothing was.

    Raises:
        RequestError: it is damaged.
    """
    if not path.exists():
        return None
    try:
        return from_bytes(path.read_bytes())
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
        raise RequestError(
            f"'{printable(path)}' is damaged ({reason(error)}): --overwrite starts the run anew"
        ) from error


def to_bytes(state: State) -> bytes:
    """A state as `save_state` writes it."""
    content = io.BytesIO()
    arrays = {f"network_{i}": value for i, value in enumerate(state.network)}
    arrays |= {f"optimizer_{i}": value for i, value in enumerate(state.optimizer)}
    document = json.dumps({"format": 1, **asdict(state.position)}).encode()
    np.savez(content, position=np.frombuffer(document, np.uint8), **arrays)  # type: ignore[arg-type]
    return content.getvalue()


def from_bytes(content: bytes) -> State:
    """What `to_bytes` made a state into.

    Raises:
        ValueError, KeyError, TypeError, zipfile.BadZipFile: it did not.
    """
    with np.load(io.BytesIO(content)) as file:
        document = json.loads(bytes(file["position"]))
        if document.pop("format") != 1:
            raise ValueError("a newer format")
        parts: dict[str, Arrays] = {"network": [], "optimizer": []}
        for name, values in parts.items():
            while f"{name}_{len(values)}" in file:
                values.append(file[f"{name}_{len(values)}"])
        return State(Position(**document), **parts)

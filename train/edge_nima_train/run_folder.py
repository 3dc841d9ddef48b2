"""The run folder: everything that one training leaves, each file whole or not there.

config.toml        all keys, as they were when it began
environment.json   versions, machine, devices
preprocessing.json how the network wants its pixels; `edge-nima convert` and `train evaluate` read it
photographs.csv    what it was trained on and validated on, by id, file and hash: the leakage guard's list
history.jsonl      one line an epoch;  steps/: the loss of every step, one file an epoch
model.keras        the weights of the lowest validation loss, float32;  last.keras: those of the last epoch
architecture.json  the network without weights, as Keras has it
loss.svg, metrics.svg, tensorboard/
state.npz          where training is;  phase1.npz, phase1.keras: where phase 1 ended; removed when it is done
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.lock import try_lock
from edge_nima.pixels import Preprocessing
from edge_nima.records import csv_line, write_whole
from edge_nima_train.config import Config, read_config
from edge_nima_train.manifest import TRAIN, VALIDATION
from edge_nima_train.shards import Shards
from edge_nima_train.state import load_state

MAY_DIFFER = ("run.workers", "run.save_minutes")
"""Keys that may differ from one start of a run to the next."""
_OURS = (
    "config.toml", "environment.json", "preprocessing.json", "photographs.csv", "history.jsonl", "model.keras",
    "last.keras", "architecture.json", "loss.svg", "metrics.svg", "state.npz", "phase1.npz", "phase1.keras",
    "done.json", "tensorboard", "features", "shards", "steps",
)  # fmt: skip


class RunFolder:
    """A run folder that this process alone writes; a context."""

    def __init__(self, path: Path, config: Config, *, overwrite: bool = False) -> None:
        """Make the folder, or take one whose run has come to nothing yet that this configuration changes.

        Args:
            path: the folder.
            config: of the run.
            overwrite: start anew where a run is; where only phase 2 is configured otherwise, phase 1 is kept.

        Raises:
            RequestError: it holds a run of another configuration (with the first difference), something else, or
                another process is training there.
            OutputError: it cannot be written.
        """
        self.path, self.config = path, config
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock: IO[bytes] = open(path / ".lock", "ab")  # noqa: SIM115
        except OSError as error:
            raise OutputError(f"cannot write the run folder '{printable(path)}': {reason(error)}") from error
        try:
            if not try_lock(self._lock):
                raise RequestError(
                    f"another run is training in '{printable(path)}': wait for it, or give another --out"
                )
            self._check(overwrite)
        except BaseException:
            self._lock.close()
            raise
        self.write_text("config.toml", config.as_toml())

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def done(self) -> bool:
        """Whether the run is complete."""
        return (self / "done.json").is_file()

    def write_text(self, name: str, text: str) -> None:
        """Write one of its files, whole.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            write_whole(self / name, text.encode("utf-8", "surrogateescape"))
        except OSError as error:
            raise OutputError(f"cannot write '{printable(self / name)}': {reason(error)}") from error

    def write_json(self, name: str, document: Mapping[str, Any]) -> None:
        """The same, of a document."""
        self.write_text(name, json.dumps(document, indent=1, allow_nan=False) + "\n")

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """All epochs so far, one line each."""
        self.write_text("history.jsonl", "".join(json.dumps(line) + "\n" for line in history))

    def write_steps(self, phase: int, epoch: int, losses: list[float]) -> None:
        """The loss of each step of an epoch; written again, it is the same file."""
        try:
            (self / "steps").mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make '{printable(self / 'steps')}': {reason(error)}") from error
        lines = "".join(f"{step},{loss!r}\n" for step, loss in enumerate(losses, 1))
        self.write_text(f"steps/phase{phase}-epoch{epoch:03}.csv", f"step,loss\n{lines}")

    def write_preprocessing(self, how: Preprocessing) -> None:
        """How the network wants its pixels."""
        self.write_json("preprocessing.json", how.to_json())

    def write_photographs(self, shards: Shards) -> None:
        """What is trained on and validated on."""
        lines = [csv_line(["image_id", "file", "sha256", "source_sha256", "split"])]
        for row in range(len(shards)):
            if shards.split[row] in (TRAIN, VALIDATION):
                hashes = (shards.sha256[row], shards.source_sha256[row])
                lines.append(csv_line([shards.image_ids[row], shards.names[row], *hashes, shards.split[row]]))
        self.write_text("photographs.csv", "".join(lines))

    def save_model(self, name: str, network: Any) -> None:
        """Write a Keras model, whole.

        Raises:
            OutputError: it cannot be written.
        """
        beside = self / f".{name}.new.keras"
        try:
            network.save(beside)
            with open(beside, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(beside, self / name)
        except OSError as error:
            raise OutputError(f"cannot write '{printable(self / name)}': {reason(error)}") from error
        finally:
            beside.unlink(missing_ok=True)

    def finish(self, document: Mapping[str, Any]) -> None:
        """Mark the run as complete, and drop what it would have been resumed from."""
        self.write_json("done.json", document)
        shutil.rmtree(self / "features", ignore_errors=True)
        for name in ("state.npz", "phase1.npz", "phase1.keras"):
            (self / name).unlink(missing_ok=True)

    def _clear(self) -> None:
        # Evaluations were of the checkpoint that goes.
        for name in (*_OURS, *(path.name for path in self.path.glob("evaluation-*"))):
            target = self / name
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)

    def _check(self, overwrite: bool) -> None:
        there = self / "config.toml"
        if not there.exists():
            strange = sorted(p.name for p in self.path.iterdir() if p.name not in (".lock", "config.toml.new"))
            if strange:
                raise RequestError(
                    f"'{printable(self.path)}' is no run folder and holds '{printable(strange[0])}': give a new --out"
                )
            return
        differences = self.config.differences(read_config(there))
        changed = [key for key in differences if key not in MAY_DIFFER]
        state = None if self.done else load_state(self / "state.npz")
        if not self.done and (state is None or not state.position.begun):
            (self / "state.npz").unlink(missing_ok=True)
            if overwrite or any(key.startswith(("data.", "network.")) for key in changed):
                self._clear()
            return
        only_phase_2 = state is not None and bool(changed) and all(key.startswith("phase2.") for key in changed)
        if only_phase_2 and state is not None and (state.position.phase == 1 or not state.position.begun_phase):
            return
        if overwrite:
            if only_phase_2:
                self._back_to_phase_1()
            else:
                self._clear()
        elif changed:
            more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
            anew = "--overwrite begins phase 2 anew and keeps phase 1" if only_phase_2 else "--overwrite"
            raise RequestError(
                f"'{printable(self.path)}' holds a run of another configuration: {differences[changed[0]]}{more}; "
                f"give another --out, or {anew}"
            )

    def end_phase_1(self) -> None:
        """Keep where phase 1 ended, so that another phase 2 can follow it."""
        for name, kept in (("state.npz", "phase1.npz"), ("model.keras", "phase1.keras")):
            if (self / name).exists():
                write_whole(self / kept, (self / name).read_bytes())

    def _back_to_phase_1(self) -> None:
        for name, kept in (("state.npz", "phase1.npz"), ("model.keras", "phase1.keras")):
            if (self / kept).exists():
                write_whole(self / name, (self / kept).read_bytes())
        for path in (self / "steps").glob("phase2-*"):
            path.unlink()

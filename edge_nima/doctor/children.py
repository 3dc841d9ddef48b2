"""Asking in a child process, so that an illegal instruction, a crash or a hang is an answer and not our own end."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_nima.errors import printable

MARK = "edge-nima-doctor:"
"""Before each line that is meant for us: libraries print as well."""


@dataclass(frozen=True)
class Answer:
    """What a child said, or what it died of."""

    result: dict[str, Any] = field(default_factory=dict)
    """Empty when it failed."""
    stage: str = ""
    """What it was at last: "import cv2"."""
    error: str | None = None
    """What went wrong, on one line; None when nothing did."""
    died: int | None = None
    """The signal that killed it; None when none did."""
    missing: bool = False
    """The error is that the package is not installed."""

    @property
    def ok(self) -> bool:
        """Whether there is a result."""
        return self.error is None


class Children:
    """Starts `edge_nima.doctor.probe` once a question."""

    def __init__(self, command: Sequence[str] = (), timeout_s: float = 60) -> None:
        """Choose what is started.

        Args:
            command: the program that gets the question's name and its arguments as JSON; this Python's by default.
            timeout_s: a child that takes longer hangs, seconds; a Raspberry Pi Zero needs twenty for the probes.
        """
        self._command = [*command] or [sys.executable, "-m", "edge_nima.doctor.probe"]
        self._timeout_s = timeout_s

    def ask(self, question: str, **given: Any) -> Answer:
        """Ask one question and wait for the answer; a child that hangs is killed."""
        try:
            done = subprocess.run(
                [*self._command, question, json.dumps(given)], stdin=subprocess.DEVNULL, capture_output=True,
                timeout=self._timeout_s, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired as error:
            stage = _said(error.stdout or b"").get("stage", "start")
            return Answer(stage=stage, error=f"{stage} does not come back: killed after {self._timeout_s:.0f} s")
        except OSError as error:
            return Answer(stage="start", error=f"cannot start {printable(self._command[0])}: {error.strerror}")
        said = _said(done.stdout)
        stage = said.get("stage", "start")
        if done.returncode < 0:
            return Answer(stage=stage, error=f"{stage} dies of {_named(-done.returncode)}", died=-done.returncode)
        if "error" in said:
            return Answer(stage=stage, error=printable(said["error"]), missing=bool(said.get("missing")))
        if done.returncode or "result" not in said:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            why = f": {printable(lines[-1])}" if lines else ""
            return Answer(stage=stage, error=f"{stage} ends with exit code {done.returncode}{why}")
        return Answer(result=said["result"], stage=stage)


def _named(number: int) -> str:
    told = {
        signal.SIGILL: "an illegal instruction (SIGILL): it was built for a newer processor than this one",
        signal.SIGSEGV: "a segmentation fault (SIGSEGV)",
        signal.SIGBUS: "a bus error (SIGBUS)",
        signal.SIGABRT: "an abort (SIGABRT)",
        signal.SIGKILL: "a kill (SIGKILL): most often the memory was not enough",
    }
    try:
        return told.get(signal.Signals(number), signal.Signals(number).name)
    except ValueError:
        return f"signal {number}"


def _said(output: bytes) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for line in output.decode(errors="replace").splitlines():
        if line.startswith(MARK):
            try:
                said.update(json.loads(line.removeprefix(MARK)))
            except ValueError:  # cut off by its death
                continue
    return said

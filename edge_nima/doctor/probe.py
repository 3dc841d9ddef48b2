"""Questions that may crash, each in a process of its own; `ProbeProcess` asks, the functions in `QUESTIONS` answer.

python -m edge_nima.doctor.probe QUESTION '{"name": "value"}'
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib import import_module
from typing import Any

from edge_nima.errors import PackageMissing, printable, reason

MARK = "edge-nima-doctor:"  # begins each line of an answer: libraries print to stdout as well
_SIGNALS = {
    "SIGILL": "an illegal instruction (SIGILL): it was built for a newer processor than this one",
    "SIGKILL": "a kill (SIGKILL): most often the memory was not enough",
}


@dataclass(frozen=True)
class Answer:
    """What a probe found, or how it failed."""

    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""  # what went wrong, on one line; empty when nothing did
    missing: bool = False  # a package is not installed


@dataclass(frozen=True)
class ProbeProcess:
    """Runs each question in a process of its own."""

    timeout_s: float = 60
    """A probe that comes to nothing new for so long hangs; a Raspberry Pi Zero takes twenty seconds for the golden
    probes, and more when it has other work."""

    def ask(self, question: str, **arguments: Any) -> Answer:
        """Ask one question and wait for its answer; a probe that hangs is killed. Raises nothing."""
        command = [sys.executable, "-m", "edge_nima.doctor.probe", question, json.dumps(arguments)]
        try:
            done = self._run(command)
        except subprocess.TimeoutExpired as error:
            stage = _fields(error.stdout or b"")["stage"]
            return Answer(error=f"{stage} does not come back: killed after {self.timeout_s:.0f} s")
        except OSError as error:
            return Answer(error=f"cannot start {printable(sys.executable)}: {error.strerror}")
        fields = _fields(done.stdout)
        if done.returncode < 0:
            name = next(
                (each.name for each in signal.Signals if each == -done.returncode), f"signal {-done.returncode}"
            )
            return Answer(error=f"{fields['stage']} dies of {_SIGNALS.get(name, name)}")
        if "error" in fields:
            return Answer(error=printable(fields["error"]), missing=fields["missing"])
        if done.returncode or "result" not in fields:
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            why = f": {printable(lines[-1])}" if lines else ""
            return Answer(error=f"{fields['stage']} ends with exit code {done.returncode}{why}")
        return Answer(fields["result"])

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[bytes]:
        """Run it to its end, or until it has said nothing for `timeout_s`."""
        heard = 0
        with subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            while True:
                try:
                    out, err = process.communicate(timeout=self.timeout_s)
                    return subprocess.CompletedProcess(command, process.returncode, out, err)
                except subprocess.TimeoutExpired as error:
                    said = len(error.stdout or b"")
                    if said == heard:
                        process.kill()
                        raise
                    heard = said
                except BaseException:
                    process.kill()
                    raise


def _fields(output: bytes) -> dict[str, Any]:
    fields: dict[str, Any] = {"stage": "start"}
    for line in output.decode(errors="replace").splitlines():
        if line.startswith(MARK):
            with suppress(ValueError):  # cut off when the process died
                fields.update(json.loads(line.removeprefix(MARK)))
    return fields


def main(arguments: list[str]) -> None:
    """Answer one question on stdout."""
    question, given = arguments
    try:
        _say(result=QUESTIONS[question](**json.loads(given)))
    except Exception as error:  # any failure of a library is a finding
        missing = isinstance(error, ModuleNotFoundError | PackageMissing)
        _say(error=reason(error) if missing else f"{type(error).__name__}: {reason(error)}", missing=missing)


def _say(**fields: Any) -> None:
    print(MARK + json.dumps(fields), flush=True)


def _imported(module: str) -> Any:
    _say(stage=f"import {module}")
    return import_module(module)


def package(module: str) -> dict[str, Any]:
    """Import a package: its version."""
    return {"version": str(getattr(_imported(module), "__version__", ""))}


def cameras() -> dict[str, Any]:
    """Import picamera2 and ask libcamera for cameras."""
    _imported("libcamera")
    found = _imported("picamera2")
    _say(stage="listing cameras with libcamera")
    return {"cameras": [str(camera.get("Model", "camera")) for camera in found.Picamera2.global_camera_info()]}


def webcams(root: str) -> dict[str, Any]:
    """Ask the kernel for its V4L2 cameras: webcams, and whether there is one on the ribbon."""
    _say(stage="listing video devices")
    from edge_nima.sources.v4l2 import PI_DRIVERS, v4l2_cameras

    found = [{**asdict(camera), "modes": None} for camera in v4l2_cameras(root)]
    usb = [camera for camera in found if camera["captures"] is not False and camera["driver"] not in PI_DRIVERS]
    return {"webcams": usb, "ribbon": any(camera["driver"] in ("unicam", "rp1-cfe") for camera in found)}


def runtime() -> dict[str, Any]:
    """Import the TFLite runtime."""
    _say(stage="import of the TFLite runtime")
    from edge_nima.interpreter import runtime_name

    return {"name": runtime_name()}


def model(path: str | None, card: str | None) -> dict[str, Any]:
    """Open a model, run its golden probes, and time an inference, milliseconds, with 1, 2, ... threads."""
    from edge_nima.check import check_model
    from edge_nima.scorer import default_threads, load_model
    from edge_nima.verdict import warning
    from edge_nima.watch.worker import inference_time

    _say(stage="opening the model")
    file = load_model(path, card)
    _say(stage="running the golden probes")
    results = check_model(file) if file.card.probes else []
    ms = {}
    for threads in range(1, default_threads() + 1):
        _say(stage=f"an inference with {threads} thread{'s'[: threads != 1]}")
        ms[threads] = inference_time(file.content, file.card.preprocessing, threads) * 1e3
    return {
        "label": file.label,
        "gate": warning(file.card.gate),
        "probes": [{"name": result.name, "problem": result.problem, "gap": result.own_gap} for result in results],
        "ms": ms,  # JSON makes the numbers of threads text
    }


QUESTIONS = {question.__name__: question for question in (package, runtime, model, webcams, cameras)}

if __name__ == "__main__":
    main(sys.argv[1:])

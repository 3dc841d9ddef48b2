"""What runs in doctor's child processes: python -m edge_nima.doctor.probe QUESTION '{"argument": "value"}'."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from edge_nima.doctor.children import MARK
from edge_nima.errors import PackageMissing, reason

ENOUGH_S = 0.5
"""Time enough for one number of threads, seconds."""


def main(arguments: list[str]) -> None:
    """Answer one question on stdout."""
    question, given = arguments
    try:
        _say(result=QUESTIONS[question](**json.loads(given)))
    except Exception as error:  # whatever it is, doctor's line says it
        missing = isinstance(error, ModuleNotFoundError | PackageMissing)
        _say(error=f"{type(error).__name__}: {reason(error)}" if not missing else reason(error), missing=missing)


def _say(**words: Any) -> None:
    print(MARK + json.dumps(words), flush=True)


def package(module: str) -> dict[str, Any]:
    """Import a package: its version and folder."""
    _say(stage=f"import {module}")
    found = import_module(module)
    return {"version": str(getattr(found, "__version__", "")), "where": str(Path(found.__file__ or "").parent)}


def cameras() -> dict[str, Any]:
    """Import picamera2 and ask libcamera for cameras."""
    _say(stage="import libcamera")
    import_module("libcamera")
    _say(stage="import picamera2")
    picamera2 = import_module("picamera2")
    _say(stage="listing cameras with libcamera")
    found = picamera2.Picamera2.global_camera_info()
    return {"cameras": [str(camera.get("Model", "camera")) for camera in found]}


def webcams(root: str) -> dict[str, Any]:
    """Ask the kernel for its video nodes."""
    _say(stage="listing video devices")
    from edge_nima.frames.listing import v4l2_cameras

    return {"nodes": [{**asdict(camera), "modes": None} for camera in v4l2_cameras(root)]}


def runtime() -> dict[str, Any]:
    """Import the TFLite runtime."""
    _say(stage="import of edge_nima")
    from edge_nima.interpreter import runtime_name

    _say(stage="import of the TFLite runtime")
    return {"name": runtime_name()}


def model(path: str | None, card: str | None) -> dict[str, Any]:
    """Open a model and run its golden probes."""
    from edge_nima.check import check_model
    from edge_nima.gate import warning
    from edge_nima.interpreter import open_runtime
    from edge_nima.scorer import load_model

    _say(stage="reading the model")
    file = load_model(path, card)
    _say(stage="opening the model")
    opened = open_runtime(file.content, 1)
    # Not documented, and the same from TensorFlow 2.5 to LiteRT 2.3; where it is gone the answer is "not known".
    operations: list[dict[str, Any]] = getattr(opened, "_get_ops_details", list)()
    names = [str(operation["op_name"]) for operation in operations]
    del opened
    probes = []
    if file.card.probes:
        _say(stage="running the golden probes")
        probes = [
            {"name": r.name, "problem": r.problem, "gap": r.own_gap, "reference_gap": r.reference_gap}
            for r in check_model(file)
        ]
    return {
        "label": file.label,
        "gate": warning(file.card.gate),
        "delegated": any("DELEGATE" in name.upper() for name in names) if names else None,
        "probes": probes,
    }


def speed(path: str | None, card: str | None) -> dict[str, Any]:
    """Milliseconds of one inference with 1 to 4 threads, as many as there are cores."""
    from edge_nima.interpreter import Interpreter
    from edge_nima.scorer import default_threads, load_model

    file = load_model(path, card)
    times: dict[str, float] = {}
    for threads in range(1, default_threads() + 1):
        _say(stage=f"an inference with {threads} thread{'s' if threads > 1 else ''}")
        interpreter = Interpreter(file.content, file.card.preprocessing, threads)
        interpreter.run()
        took: list[float] = []
        while sum(took) < ENOUGH_S:
            started = perf_counter()
            interpreter.run()
            took.append(perf_counter() - started)
        times[str(threads)] = round(median(took) * 1e3, 3)
    return {"ms": times}


def health(root: str) -> dict[str, Any]:
    """Temperature, throttling and voltage."""
    from edge_nima.watch.health import Board

    return asdict(Board(None, root=Path(root)).read())


QUESTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "package": package, "runtime": runtime, "model": model, "speed": speed,
    "webcams": webcams, "cameras": cameras, "health": health,
}  # fmt: skip

if __name__ == "__main__":
    main(sys.argv[1:])

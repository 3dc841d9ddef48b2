"""A watcher without a camera, for tests of its page: a status, scores, frames, and a folder of photographs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, sleep, time

import numpy as np
from PIL import Image

from edge_nima.distribution import mean_rating, rating_std
from edge_nima.errors import RequestError
from edge_nima.frames import Frame
from edge_nima.records import ScoreRecord
from edge_nima.watch.events import Counts, Health, Scored, Shot, State, Status
from edge_nima.web import Options, WebServer

TOKEN = "a-token-for-tests-0123456789"


def frame(i: int, size: tuple[int, int] = (640, 480)) -> Frame:
    """A picture that tells its number by its colour."""
    rgb = np.empty((size[1], size[0], 3), np.uint8)
    rgb[:] = ((i * 37) % 256, (i * 11) % 256, 90)
    return Frame(rgb, f"frame {i}")


def scored(i: int) -> Scored:
    """A score between 4 and 7 that changes slowly."""
    centre = 4 + 3 * ((i % 60) / 60)
    weights = np.exp(-0.5 * ((np.arange(1, 11) - centre) / 1.4) ** 2)
    distribution = weights / weights.sum()
    record = ScoreRecord(
        f"garden/{i}", float(mean_rating(distribution)), float(rating_std(distribution)), tuple(distribution.tolist()),
        "model@0", 9.0,
    )  # fmt: skip
    return Scored(record, "garden", time(), 21.0)


@dataclass
class Folder:
    """A gallery that is a folder."""

    path: Path
    deleted: list[str] = field(default_factory=list)

    def add(self, name: str, mean: float, size: tuple[int, int] = (1280, 960)) -> Shot:
        rows = np.linspace(0, 255, size[1], dtype=np.uint8)[:, None, None]
        rgb = np.broadcast_to(rows, (size[1], size[0], 3)).copy()
        rgb[..., 0] = int(mean * 25)
        Image.fromarray(rgb).save(self.path / name, quality=85)
        return self._shot(self.path / name)

    def _shot(self, path: Path) -> Shot:
        mean = float(path.stem.split("_")[-1])
        return Shot(path, "garden", path.stat().st_mtime, mean, 1 + int(mean) // 2, path.stat().st_size)

    def shots(self) -> list[Shot]:
        return [self._shot(path) for path in sorted(self.path.glob("*.jpg")) if not path.is_symlink()]

    def path_of(self, name: str) -> Path:
        path = self.path / name
        if path.resolve().parent != self.path.resolve() or not path.is_file():
            raise RequestError(f"no such photograph: {name}")
        return path

    def delete(self, name: str) -> None:
        self.path_of(name).unlink()
        self.deleted.append(name)


class Watched:
    """What a watcher tells its page, turned by hand or by `running`."""

    def __init__(self, options: Options, gallery: Folder | None = None) -> None:
        self.gallery = gallery
        self.told = Status(
            "garden", State.watching, time() - 60, 3700.0, 14.2, "mobilenet-ava-int8-mixed@01234567",
            Counts(captured=900, scored=800, dropped=90, still=10, recorded=800, shots=3),
            None, Health(time(), 54.3, False, False, 0, 11_400_000_000, 93_000_000),
        )  # fmt: skip
        self.server = WebServer(options, lambda: self.told, gallery, lambda: "edge_nima_frames_total 1\n")
        self.costs: list[float] = []
        self._i = 0

    def turn(self, size: tuple[int, int] = (640, 480)) -> None:
        """One frame."""
        self._i += 1
        told, shown = scored(self._i), frame(self._i, size)
        self.told = replace(self.told, last=told)
        began = monotonic()
        self.server.scored(told, shown)
        self.costs.append(monotonic() - began)

    def change(self, state: State, problem: str | None = None) -> None:
        self.told = replace(self.told, state=state, since=time(), problem=problem)
        self.server.changed(self.told)

    @contextlib.contextmanager
    def running(self, fps: float = 30.0) -> Iterator[None]:
        """A camera's loop in a thread, at this rate."""
        over = threading.Event()

        def loop() -> None:
            due = monotonic()
            while not over.is_set():
                if self.told.state == State.watching:
                    self.turn()
                due += 1 / fps
                sleep(max(0.0, due - monotonic()))

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


@contextlib.contextmanager
def served(options: Options | None = None, gallery: Folder | None = None) -> Iterator[Watched]:
    """A page on a free port of this machine."""
    watched = Watched(options or Options(port=0), gallery)
    watched.server.start()
    try:
        yield watched
    finally:
        watched.server.close()

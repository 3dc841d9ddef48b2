"""Cameras that are none, for tests of the page: their status, scores, frames, and a gallery of photographs."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from time import monotonic, sleep, time
from typing import Any

import numpy as np

from edge_nima.distribution import mean_rating, rating_std
from edge_nima.frame import Frame
from edge_nima.outputs import Context
from edge_nima.outputs.web import WebServer, WebSettings
from edge_nima.records import ScoreRecord
from edge_nima.watch import xmp
from edge_nima.watch.events import Counts, Health, Scored, Shot, State, Status
from edge_nima.watch.gallery import Gallery

TOKEN = "a-token-for-tests-0123456789"


def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until it holds."""
    due = monotonic() + seconds
    while not holds():
        assert monotonic() < due
        sleep(0.01)


def frame(i: int, size: tuple[int, int] = (640, 480)) -> Frame:
    """A picture that tells its number by its colour."""
    rgb = np.empty((size[1], size[0], 3), np.uint8)
    rgb[:] = ((i * 37) % 256, (i * 11) % 256, 90)
    return Frame(rgb, f"frame {i}")


def scored(i: int, camera: str = "garden") -> Scored:
    """A score between 4 and 7 that changes slowly."""
    weights = np.exp(-0.5 * ((np.arange(1, 11) - 4 - 3 * ((i % 60) / 60)) / 1.4) ** 2)
    distribution = weights / weights.sum()
    mean, std = float(mean_rating(distribution)), float(rating_std(distribution))
    record = ScoreRecord(f"{camera}/{i}", mean, std, tuple(distribution.tolist()), "model@0", 9.0)
    return Scored(record, camera, time(), 21.0)


class Kept(Gallery):
    """A gallery whose photographs are told apart by their means."""

    def add(self, mean: float, camera: str = "garden", at: float | None = None, width: int = 1280) -> Shot:
        rgb = np.full((width * 3 // 4, width, 3), int(mean * 25), np.uint8)
        about = {"mean": mean, "std": 1.0, "distribution": (0.1,) * 10, "model": "m@0", "camera": camera}
        at = time() if at is None else at
        stars = min(5, 1 + int(mean) // 2)
        content = xmp.encode(rgb, **about, taken_at=at, rating=stars)  # type: ignore[arg-type]
        return self.save(content, camera=camera, taken_at=at, mean=mean, rating=stars)

    def of(self, mean: float) -> Shot:
        return next(shot for shot in self.shots() if shot.mean == mean)

    def means(self) -> list[float]:
        return [shot.mean for shot in self.shots("best")]


class Watched:
    """What cameras tell their page, turned by hand or by `running`."""

    def __init__(
        self, settings: WebSettings, gallery: Any, cameras: tuple[str, ...] = ("garden",), usual_s: float = 1
    ) -> None:
        self.statuses = {
            camera: Status(
                camera, State.watching, time() - 60, 3700.0, 14.2, "mobilenet-ava-int8-mixed@01234567",
                Counts(captured=900, scored=800, dropped=90, still=10, recorded=800, shots=3),
                None, Health(time(), 54.3, False, False, 0, 11_400_000_000, 93_000_000),
            )
            for camera in cameras
        }  # fmt: skip
        self.context = Context(
            dict.fromkeys(cameras, usual_s), lambda: list(self.statuses.values()), gallery,
            lambda camera: [(time() - 600 - 10 * i, 5.0) for i in range(30, 0, -1)],
        )  # fmt: skip
        self.server = WebServer(settings, self.context)
        until(lambda: self.server._feed.loop)
        self.costs: list[float] = []
        self._i = 0

    @property
    def viewers(self) -> int:
        return self.server._feed.viewers

    def turn(self, size: tuple[int, int] = (640, 480), camera: str = "garden") -> None:
        """One frame."""
        self._i += 1
        told, shown = scored(self._i, camera), frame(self._i, size)
        self.statuses[camera] = replace(self.statuses[camera], last=told)
        began = monotonic()
        self.server.scored(told, shown)
        self.costs.append(monotonic() - began)

    def change(self, state: State, problem: str | None = None, camera: str = "garden") -> None:
        status = self.statuses[camera] = replace(self.statuses[camera], state=state, since=time(), problem=problem)
        self.server.changed(status)

    @contextlib.contextmanager
    def running(self, fps: float = 30.0) -> Iterator[None]:
        """Each camera's loop in a thread, at this rate."""
        over = threading.Event()

        def loop(camera: str) -> None:
            due = monotonic()
            while not over.is_set():
                if self.statuses[camera].state == State.watching:
                    self.turn(camera=camera)
                due += 1 / fps
                sleep(max(0.0, due - monotonic()))

        threads = [threading.Thread(target=loop, args=(camera,)) for camera in self.statuses]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()


@contextlib.contextmanager
def served(
    gallery: Any = None, cameras: tuple[str, ...] = ("garden",), usual_s: float = 1, **settings: Any
) -> Iterator[Watched]:
    """A page on a free port of this machine."""
    checked = WebSettings(**{"web": 0, **settings})
    checked.check()
    watched = Watched(checked, gallery, cameras, usual_s)
    try:
        yield watched
    finally:
        watched.server.close()

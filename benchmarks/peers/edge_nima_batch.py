"""This package by the protocol of its peers: Scorer.score_batch, and bounds on what it could reach."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image
from protocol import Model, Pool, main

from edge_nima import open_scorer
from edge_nima.decode import MAX_MEGAPIXELS, open_rgb
from edge_nima.interpreter import Interpreter
from edge_nima.pixels import DCT_MARGIN, Preprocessing, read_input
from edge_nima.scorer import default_threads, load_model

TITLE = "edge_nima"
ABOUT = "Scorer.score_batch"
REQUIREMENTS = None
VARIANTS = {
    "mobilenet-ava-int8-mixed": "the bundled model",
    "mobilenet-ava-float16": "the float16 model",
    "read-and-invoke": "the same pixels and the bare interpreter of the bundled model: no records",
    "decode-and-invoke": "a decoder, a resize and the bare interpreter of the bundled model: no checks, no records",
}
WEIGHTS = "mobilenet-ava-int8-mixed"


def prepare(variant: str, weights: str, calibration: str, folder: str) -> None:
    """Its models ship with it."""


class Scored(Model):
    def __init__(self, variant: str, threads: int, jobs: int) -> None:
        self._scorer = open_scorer(variant, threads)
        self._jobs = jobs
        self._interpreter = Interpreter(self._scorer.model.content, self._scorer.card.preprocessing, threads)

    def score_many(self, paths: Sequence[str]) -> Iterable[Sequence[float]]:
        for record in self._scorer.score_batch(paths, self._jobs):
            if record.distribution is None:
                raise SystemExit(f"{record.name}: {record.error}")
            yield record.distribution

    def invoke(self) -> None:
        self._interpreter.invoke()


class Bare(Model):
    def __init__(self, variant: str, threads: int) -> None:
        file = load_model()
        self._how = file.card.preprocessing
        self._read = read_input if variant == "read-and-invoke" else self._nearest
        self._interpreter = Interpreter(file.content, self._how, threads)

    def _nearest(self, path: str, how: Preprocessing) -> np.ndarray:
        picture, _ = open_rgb(path, MAX_MEGAPIXELS, DCT_MARGIN * (how.longest_edge or 0))
        return np.asarray(picture.resize((how.width, how.height), Image.Resampling.NEAREST))

    def score(self, path: str) -> Sequence[float]:
        self._interpreter.pixels[...] = self._read(path, self._how)
        self._interpreter.invoke()
        return (1.0, *[0.0] * 9)  # what comes out is not read

    def invoke(self) -> None:
        self._interpreter.invoke()


def open_model(variant: str, folder: str, threads: int | None) -> Model:
    threads = threads or default_threads()
    return Bare(variant, threads) if variant.endswith("-and-invoke") else Scored(variant, threads, 1)


def open_pool(variant: str, folder: str, workers: int) -> Model:
    if variant.endswith("-and-invoke"):
        return Pool([Bare(variant, 1) for _ in range(workers)])
    return Scored(variant, 1, workers)


if __name__ == "__main__":
    main(prepare, open_model, open_pool)

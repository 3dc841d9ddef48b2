"""Photographs that judge: the float model's opinion of them, made once, and people's where there are ratings."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from edge_nima.decode import Pixels
from edge_nima.distribution import BINS, Floats, mean_rating, rating_std
from edge_nima.errors import RequestError, printable
from edge_nima.labels import Labels, few
from edge_nima.names import name_of
from edge_nima.photographs import draw_photographs
from edge_nima.pixels import Preprocessing
from edge_nima.records import FileStamp, RecordFile, ScoreRecord, form_of
from edge_nima_convert.calibration import Predict
from edge_nima_convert.photographs import Pool, load_inputs, log
from edge_nima_convert.recipes import Progress

Records = tuple[tuple[ScoreRecord, FileStamp], ...]


@dataclass(frozen=True)
class EvaluationSet:
    """Inputs with the float model's opinion of them."""

    pixels: Pixels
    """uint8, shape (n, height, width, 3)."""
    reference: NDArray[np.float32]
    """float32, shape (n, 10)."""
    names: tuple[str, ...]
    """Paths, where they are files."""
    on: str
    """Which they are, in words."""
    seen: str = ""
    """Why they cannot prove that a conversion passes; "" where nothing speaks against them."""
    people: Floats | None = None
    """float64, shape (n, 10): people's ratings, `nan` where a photograph has none; None where there are no labels."""
    people_source: str = ""
    inferred: bool = False
    """Whether `people` are max-entropy histograms of known means."""


def read_evaluation(
    pool: Pool,
    model: str,
    how: Preprocessing,
    predict: Predict,
    calibrates: Collection[str] = (),
    progress: Progress = lambda *_: None,
) -> tuple[EvaluationSet, Records]:
    """Draw photographs, read them and have the float model judge them.

    Args:
        pool: what can be drawn, and how many.
        model: what records call the float model.
        how: the specification.
        predict: the float model.
        calibrates: `Inputs.sha256` of what calibrates, which does not judge.
        progress: called after each photograph.

    Returns:
        What judges; and the float model's records of all that were drawn, as `edge-nima score` would write them.

    Raises:
        RequestError: none can be read, all calibrate, or none has a rating of the labels.
    """
    chosen = draw_photographs(pool.paths, pool.drawn.count, pool.drawn.seed)
    if len(chosen) < len(pool.paths):
        log.info(f"judging by {len(chosen)} of {len(pool.paths)} photographs (--evaluate-count)")
    stamps = [FileStamp.of(path) for path in chosen]
    inputs = load_inputs(chosen, how, progress, "photographs to judge by")
    n = len(inputs.paths)
    if not n:
        raise RequestError("none of the photographs of --evaluate can be read")
    started = perf_counter()
    reference = predict(inputs.pixels)
    elapsed = round((perf_counter() - started) * 1e3 / n, 3)
    found = dict(zip(inputs.paths, reference, strict=True))
    records = [_record(path, found.get(path), inputs.unreadable.get(path), model, elapsed, how) for path in chosen]
    rows = [row for row, digest in enumerate(inputs.sha256) if digest not in calibrates]
    if not rows:
        raise RequestError(f"all {n} photographs of --evaluate calibrate too, by their pixels: give others")
    if len(rows) < n:
        log.warning(f"{n - len(rows)} photographs calibrate too; they are left out of those that judge")
    paths, labels = [inputs.paths[row] for row in rows], pool.labels
    people = (None, "", False) if labels is None else (_ratings(labels, paths), labels.name, labels.inferred)
    on = f"{len(rows)} photographs of {pool.on}"
    judges = EvaluationSet(inputs.pixels[rows], reference[rows], tuple(map(name_of, paths)), on, "", *people)
    return judges, tuple(zip(records, stamps, strict=True))


def _record(
    path: Path, p: NDArray[np.float32] | None, error: str | None, model: str, elapsed_ms: float, how: Preprocessing
) -> ScoreRecord:
    name, told = name_of(path), how.describe()
    if p is None:
        return ScoreRecord(name, None, None, None, model, elapsed_ms, error, told)
    mean, std = float(mean_rating(p)), float(rating_std(p))
    return ScoreRecord(name, mean, std, tuple(p.tolist()), model, elapsed_ms, preprocessing=told)


def _ratings(labels: Labels, paths: Sequence[Path]) -> Floats:
    """People's, float64 (n, 10), `nan` where there are none."""
    rows = labels.match(paths)
    bare = [printable(path) for path, row in zip(paths, rows, strict=True) if row is None]
    if bare:
        unrated = f"{len(bare)} of the {len(rows)} photographs that judge have no rating"
        log.warning(f"{unrated} in {printable(labels.name)}: {few(bare)}")
    none = np.full(BINS, np.nan)
    return np.stack([none if row is None else labels.distributions[row] for row in rows])


def write_reference(path: Path, records: Records) -> None:
    """Write records, JSON Lines or CSV by the ending of `path`; the file appears whole."""
    with RecordFile(path, form_of(path)) as file:
        for record, stamp in records:
            file.write(record, stamp)
    log.info(f"the float model's records of {len(records)} photographs are in '{printable(path)}'")

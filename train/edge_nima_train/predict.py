"""Photographs to score records by a trained network: the reference that conversions and devices are compared with."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np

from edge_nima.distribution import mean_rating, rating_std
from edge_nima.errors import PictureError, printable, reason
from edge_nima.in_order import in_order
from edge_nima.pixels import MAX_MEGAPIXELS, Pixels, read_input
from edge_nima.records import ScoreRecord
from edge_nima.scorer import available_cores
from edge_nima_train.checkpoint import BATCH, Checkpoint


def record_name(photograph: str | os.PathLike[str]) -> str:
    """What a record calls a photograph: its path as it was given, without detours such as `a/../`."""
    return printable(os.path.normpath(photograph))


def score_photographs(
    trained: Checkpoint,
    photographs: Iterable[Path],
    jobs: int | None = None,
    *,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> Generator[ScoreRecord, None, None]:
    """Score photographs as `edge-nima score` would, were the network a .tflite.

    Args:
        trained: the network.
        photographs: paths; read lazily.
        jobs: photographs decoded at once; None for the processor's cores.
        max_megapixels: refuse larger pictures.

    Returns:
        One record a photograph, in order; one that cannot be read has its `error` set. `elapsed_ms` is an average over
        its batch.
    """

    def decode(path: Path) -> tuple[Path, Pixels | PictureError]:
        try:
            return path, read_input(path, trained.preprocessing, max_megapixels=max_megapixels)
        except PictureError as error:
            return path, error

    with contextlib.closing(in_order(decode, photographs, jobs or available_cores())) as decoded:
        started = perf_counter()
        while batch := list(islice(decoded, BATCH)):
            records = _records(trained, batch)
            each = round((perf_counter() - started) * 1e3 / len(batch), 3)
            yield from (replace(record, elapsed_ms=each) for record in records)
            started = perf_counter()


def _records(trained: Checkpoint, batch: Sequence[tuple[Path, Pixels | PictureError]]) -> list[ScoreRecord]:
    pixels = [one for _, one in batch if not isinstance(one, PictureError)]
    opinions = iter(trained.predict(np.stack(pixels))) if pixels else iter(())
    how, records = trained.preprocessing.describe(), []
    for path, one in batch:
        name = record_name(path)
        if isinstance(one, PictureError):
            records.append(ScoreRecord(name, None, None, None, trained.label, 0.0, reason(one), how))
        else:
            p = next(opinions)
            mean, std = float(mean_rating(p)), float(rating_std(p))
            records.append(ScoreRecord(name, mean, std, tuple(p.tolist()), trained.label, 0.0, preprocessing=how))
    return records

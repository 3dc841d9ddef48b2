"""Photographs to score records by a trained network: the reference that conversions and devices are compared with."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from time import perf_counter

import numpy as np

from edge_nima.decode import MAX_MEGAPIXELS, Pixels
from edge_nima.distribution import mean_rating, rating_std
from edge_nima.errors import PictureError, RequestError, printable, reason
from edge_nima.in_order import in_order
from edge_nima.joining import same_pixels
from edge_nima.names import name_of
from edge_nima.pixels import read_input
from edge_nima.records import RecordFile, ScoreRecord, form_of, held_records, still_to_do
from edge_nima.scorer import available_cores
from edge_nima_train.checkpoint import BATCH, Checkpoint

Progress = Callable[[str, int, int, str], None]
SILENT: Progress = lambda stage, done, total, note: None  # noqa: E731


def record_name(photograph: str | os.PathLike[str]) -> str:
    """What a record calls a photograph: its path as it was given, without detours such as `a/../`."""
    return name_of(os.path.normpath(photograph))


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


def score_to_file(
    trained: Checkpoint,
    photographs: Sequence[Path],
    output: Path,
    *,
    resume: bool = False,
    jobs: int | None = None,
    progress: Progress = SILENT,
) -> tuple[int, int, int]:
    """`score_photographs` into a file of records, .jsonl or .csv. Cut short, it leaves what it has in NAME.partial.

    Args:
        trained: the network.
        photographs: in the order of the records.
        output: the file; it is replaced.
        resume: keep what it, or NAME.partial, holds of photographs with the same path, size and time.
        jobs: as for `score_photographs`.
        progress: called with a stage, how much of it is done, of how much, and a note.

    Returns:
        How many photographs this call scored, how many were kept, and how many of the first cannot be read.

    Raises:
        RequestError: what is there is of another network, or was made with other pixels.
        OutputError: it cannot be written.
    """
    form, how = form_of(output), trained.preprocessing.describe()
    held = held_records(output, form, trained.label) if resume else []
    for record, _ in held:
        if same_pixels(record.preprocessing or how) != same_pixels(how):
            raise RequestError(
                f"'{printable(output)}' holds scores made with '{printable(record.preprocessing or '')}', this run has "
                f"'{how}': --overwrite starts again"
            )
    names, failures = [record_name(path) for path in photographs], 0
    todo, held = still_to_do(photographs, names, held)
    scored = score_photographs(trained, (path for path, _ in todo), jobs)
    with RecordFile(output, form, held, names) as file, contextlib.closing(scored) as records:
        for done, ((_, stamp), record) in enumerate(zip(todo, records, strict=True), 1):
            file.write(record, stamp)
            failures += record.error is not None
            progress("scoring", done, len(todo), "")
    return len(todo), len(held), failures

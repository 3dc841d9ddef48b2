"""The float model's opinion as a file of score records: made once, compared with everywhere else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_nima.distribution import mean_rating, rating_std
from edge_nima.errors import RequestError, printable
from edge_nima.records import FileStamp, RecordFile, ScoreRecord, form_of, is_special
from edge_nima_convert.checkpoint import Checkpoint


def check_reference(path: Path, overwrite: bool) -> None:
    """Refuse a place for a reference before any work.

    Raises:
        RequestError: it exists and `overwrite` is False, is a folder or in none, or ends neither in .jsonl nor .csv.
        OutputError: it cannot be asked.
    """
    form_of(path)
    if not is_special(path) and path.exists() and not overwrite:
        raise RequestError(f"'{printable(path)}' exists: --overwrite replaces it")


def reference_records(
    checkpoint: Checkpoint,
    photographs: Sequence[Path],
    opinions: Mapping[Path, NDArray[np.float32]],
    unreadable: Mapping[Path, str],
    elapsed_ms: float,
) -> list[ScoreRecord]:
    """What `edge-nima score` would write of photographs, were the checkpoint a .tflite.

    Args:
        checkpoint: the float model.
        photographs: in the order of the records.
        opinions: float32, shape (10,), by photograph.
        unreadable: why there is no opinion, by photograph.
        elapsed_ms: of one photograph, on average.
    """
    model = f"{checkpoint.name}@{checkpoint.source['sha256'][:8]}"
    how = checkpoint.preprocessing.describe()
    records = []
    for photograph in photographs:
        name, p = printable(photograph), opinions.get(photograph)
        if p is None:
            records.append(ScoreRecord(name, None, None, None, model, elapsed_ms, unreadable[photograph], how))
        else:
            mean, std = float(mean_rating(p)), float(rating_std(p))
            records.append(ScoreRecord(name, mean, std, tuple(p.tolist()), model, elapsed_ms, preprocessing=how))
    return records


def write_reference(path: Path, records: Sequence[ScoreRecord], stamps: Sequence[FileStamp]) -> None:
    """Write records to `path`, JSON Lines or CSV by its ending; it appears whole.

    Args:
        path: the file.
        records: what `reference_records` gave.
        stamps: of the photographs, before they were read.

    Raises:
        RequestError: as `check_reference`, or another run is writing it.
        OutputError: it cannot be written.
    """
    with RecordFile(path, form_of(path)) as file:
        for record, stamp in zip(records, stamps, strict=True):
            file.write(record, stamp)

"""JSON as idealo's image-quality-assessment has it: [{"image_id": "231893", "label": [0, 1, ...]}, ...]."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from edge_nima.errors import RequestError, printable
from edge_nima.label_text import read_text
from edge_nima_train.columns import Record, recognise
from edge_nima_train.layouts import Layout, Opened

_POSSIBLE = 'a list of objects, such as [{"image_id": "231893", "label": [0, 1, 5, 17, 38, 36, 15, 6, 5, 1]}]'


def _open(sources: Sequence[str], stated: Mapping[str, str]) -> Opened:
    rows = [(Path(source), _read(Path(source))) for source in sources]
    path, first = rows[0][0], rows[0][1][0]
    lists = [name for name, value in first.items() if isinstance(value, list)]
    return Opened(recognise(first, lists, stated, f"'{printable(path)}'"), _records(rows))


def _read(path: Path) -> list[Mapping[str, object]]:
    text, _ = read_text(path, _POSSIBLE)
    try:
        rows = json.loads(text)
    except ValueError as error:
        raise RequestError(f"'{printable(path)}' is no JSON: {error}; possible: {_POSSIBLE}") from error
    if not (isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)):
        raise RequestError(f"'{printable(path)}' holds something else; possible: {_POSSIBLE}")
    return rows


def _records(rows: Sequence[tuple[Path, Sequence[Mapping[str, object]]]]) -> Iterator[Record]:
    for path, objects in rows:
        for place, one in enumerate(objects, 1):
            yield Record(path, place, one)


LAYOUT = Layout("idealo", f"JSON, {_POSSIBLE}", 1, lambda source: source.lower().endswith(".json"), _open)

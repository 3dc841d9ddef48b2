"""The photographs of a report: where they are on this machine, and small enough to travel inside a page."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge_nima import tar_members
from edge_nima.errors import PictureError, RequestError, printable
from edge_nima.joining import photograph_id
from edge_nima.names import name_of

if TYPE_CHECKING:
    from PIL import Image

SIDE = 320
"""Of the square that a thumbnail fits in, pixels."""


def find_pictures(names: Sequence[str], folder: Path | None) -> dict[str, Path]:
    """Where photographs are.

    Each is looked for beneath `folder`, by as much of its path as is there; then, by its id, anywhere beneath it; then
    as a path of its own.

    Args:
        names: as records call them.
        folder: where the photographs are; None when nobody said.

    Returns:
        A path for each of those that are found.

    Raises:
        RequestError: there is no such folder.
    """
    if folder is not None and not folder.is_dir():
        raise RequestError(f"--photos '{printable(folder)}' is no folder")
    found: dict[str, Path] = {}
    for name in names:
        path = _beneath(folder, name) if folder is not None else None
        if path is None and tar_members.is_file(Path(name)):
            path = Path(name)
        if path is not None:
            found[name] = path
    lost = [name for name in names if name not in found]
    if folder is not None and lost:
        found |= _by_id(lost, folder)
    return found


def _beneath(folder: Path, name: str) -> Path | None:
    # A record may come from anywhere: what it names must lie beneath the folder.
    parts = [part for part in name.split("/") if part not in {"", ".", ".."}]
    for first in range(len(parts)):
        path = folder.joinpath(*parts[first:])
        if tar_members.is_file(path):
            return path
    return None


def _by_id(names: Sequence[str], folder: Path) -> dict[str, Path]:
    from edge_nima.photographs import find_photographs

    try:
        there = find_photographs([folder])
    except RequestError:  # no photographs in it: then these are not found, and the page says so
        return {}
    by_id = {photograph_id(name_of(path)): path for path in there}
    times = Counter(photograph_id(name_of(path)) for path in there)
    ids = {name: photograph_id(name) for name in names}
    return {name: by_id[key] for name, key in ids.items() if times[key] == 1}


def thumbnail(path: Path) -> str:
    """A photograph as a data URI: upright, within 320x320, JPEG.

    Raises:
        PictureError: it cannot be read.
    """
    from PIL import Image

    from edge_nima.decode import read_rgb

    return as_uri(Image.fromarray(read_rgb(path)))


def as_uri(image: Image.Image) -> str:
    """An RGB picture as a data URI: within 320x320, JPEG."""
    from PIL import Image

    small = image.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def thumbnails(names: Sequence[str], folder: Path | None) -> dict[str, str | PictureError]:
    """A data URI for each photograph that is found, or why there is none.

    Raises:
        RequestError: as `find_pictures`.
    """
    shown: dict[str, str | PictureError] = {}
    for name, path in find_pictures(names, folder).items():
        try:
            shown[name] = thumbnail(path)
        except PictureError as error:
            shown[name] = error
    return shown

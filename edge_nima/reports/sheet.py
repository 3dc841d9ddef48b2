"""A contact sheet: photographs with their scores as one page, made while they are scored."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self
from urllib.parse import quote

import numpy as np
from PIL import Image

from edge_nima.decode import MAX_MEGAPIXELS, open_rgb
from edge_nima.errors import OutputError, PictureError, RequestError, printable, reason
from edge_nima.lock import try_lock
from edge_nima.names import name_of
from edge_nima.percentiles import AVA, Percentiles, percentiles_of
from edge_nima.photographs import THUMBNAILS
from edge_nima.records import ScoreRecord, is_special
from edge_nima.reports.pages import need_jinja, render, write_page
from edge_nima.selection import Candidate, KeepPolicy, stacks
from edge_nima.similarity import perceptual_hash

INSIDE = 1000
"""Photographs up to which the page holds their thumbnails; beyond, they lie in a folder beside it."""
PAGE_BYTES = 11_500_000
"""The most that the thumbnails inside a page take together, in base64."""

_SIDE = 256  # pixels of a thumbnail's longest edge, at most
_QUALITIES = (75, 60, 45, 30, 15, 5)  # of JPEG: the first that is small enough
_SHOWN_BY_BROWSERS = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".gif", ".webp", ".avif", ".bmp", ".mpo"}
_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class _Look:
    hash: int
    thumbnail: str
    """What an `<img>` has for its source."""


class ContactSheet:
    """Collects how photographs look while they are scored, then writes the page. Use it as a context manager."""

    def __init__(self, path: str | os.PathLike[str], total: int, *, overwrite: bool = False) -> None:
        """Take the file to write and how many photographs there are.

        Raises:
            PackageMissing: Jinja2 is not installed.
            RequestError: it exists and `overwrite` is False, or is a folder, or in none; or the folder beside it is not
                of a contact sheet.
            OutputError: its folder cannot be written.
        """
        need_jinja()
        self.path = Path(path)
        self.folder = self.path.with_name(f"{self.path.stem}_files") if total > INSIDE else None
        shown = printable(self.path)
        is_special(self.path)  # refuses a folder, and what is in none
        for there in (self.path, *([self.folder] if self.folder else [])):
            if there.exists() and not overwrite:
                raise RequestError(f"'{printable(there)}' exists: --overwrite replaces it")
        self._partial = self.folder and self.folder.with_name(f"{self.folder.name}.partial")
        for beside in (self.folder, self._partial):
            if beside and beside.exists() and not (beside / THUMBNAILS).exists():
                raise RequestError(
                    f"'{printable(beside)}' holds something else than a contact sheet's thumbnails; "
                    "move it away, or give --html another name"
                )
        if not os.access(self.path.parent, os.W_OK):
            raise OutputError(f"cannot write '{shown}': no permission")
        self._looks: dict[str, _Look] = {}
        self._turn = threading.Lock()
        self._count = 0
        self._claim: IO[bytes] | None = None
        self._room = min(24_000, PAGE_BYTES * 3 // 4 // max(1, min(total, INSIDE)))  # bytes of a thumbnail

    def __enter__(self) -> Self:
        """Claim the folder that thumbnails go to.

        Raises:
            RequestError: another run writes there.
            OutputError: it cannot be written.
        """
        if self._partial is None:
            return self
        try:
            self._partial.mkdir(exist_ok=True)
            claim = open(self._partial / THUMBNAILS, "ab")
            if not try_lock(claim):
                claim.close()
                raise RequestError(
                    f"another run writes '{printable(self._partial)}': wait for it, or give --html another name"
                )
            self._claim = claim
            for left in self._partial.glob("*.jpg"):  # of a run that was killed
                left.unlink()
        except OSError as error:
            raise OutputError(f"cannot write '{printable(self._partial)}': {reason(error)}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._claim is not None and self._partial is not None:
            shutil.rmtree(self._partial, ignore_errors=True)
            self._claim.close()

    def look(self, picture: Any, image: Image.Image) -> None:
        """Take how a photograph looks; safe to call from several threads.

        Args:
            picture: its path.
            image: upright, mode RGB.

        Raises:
            OutputError: the thumbnail cannot be written.
        """
        small = _small(image)
        if self._partial is None:
            shown = f"data:image/jpeg;base64,{base64.b64encode(_encode(small, self._room)).decode()}"
        else:
            with self._turn:
                number, self._count = self._count, self._count + 1
            shown = f"{number:06}.jpg"
            try:
                (self._partial / shown).write_bytes(_encode(small, self._room))
            except OSError as error:
                raise OutputError(f"cannot write '{printable(self._partial)}': {reason(error)}") from error
        self._looks[name_of(picture)] = _Look(perceptual_hash(np.asarray(small)), shown)

    def write(self, scored: Sequence[tuple[Path, ScoreRecord]], *, against: Percentiles | None = None) -> None:
        """Write the page; it appears whole, and replaces what is there.

        Args:
            scored: photographs and their records, in any order. Of those that were not looked at, kept from an earlier
                run say, thumbnails are made now.
            against: a library in which each photograph is placed, beside AVA and these photographs.

        Raises:
            OutputError: it cannot be written.
        """
        for path, record in scored:
            if record.mean is not None and record.name not in self._looks:
                self._look_again(path)
        content = page(self._data(scored, against))
        if self.folder is None or self._partial is None:
            write_page(self.path, content)
            return
        earlier = self.folder.with_name(f"{self.folder.name}.old")
        try:
            shutil.rmtree(earlier, ignore_errors=True)
            if self.folder.exists():
                self.folder.rename(earlier)
            self._partial.rename(self.folder)
        except OSError as error:
            raise OutputError(f"cannot write '{printable(self.folder)}': {reason(error)}") from error
        try:
            write_page(self.path, content)
        except OutputError:
            # The earlier page needs the earlier thumbnails.
            self.folder.rename(self._partial)
            if earlier.exists():
                earlier.rename(self.folder)
            raise
        shutil.rmtree(earlier, ignore_errors=True)

    def _look_again(self, path: Path) -> None:
        try:
            image, _ = open_rgb(path, MAX_MEGAPIXELS, 640)
        except PictureError:
            return  # gone since it was scored; the sheet shows its score without a picture
        image.thumbnail((640, 640))
        self.look(path, image)

    def _data(self, scored: Sequence[tuple[Path, ScoreRecord]], against: Percentiles | None) -> dict[str, Any]:
        done = [(path, record, record.mean) for path, record in scored if record.mean is not None]
        done.sort(key=lambda one: (-one[2], one[1].name))
        here = percentiles_of((mean for _, _, mean in done), "these photographs")
        references = [AVA, *([here] if here else []), *([against] if against else [])]
        folders = sorted({os.path.dirname(record.name) for _, record, _ in done})
        number = {folder: place for place, folder in enumerate(folders)}
        rows = []
        for path, record, mean in done:
            look = self._looks.get(record.name)
            rows.append(
                {
                    "n": printable(os.path.basename(record.name)),
                    "f": number[os.path.dirname(record.name)],
                    "m": round(mean, 4),
                    "s": round(record.std or 0.0, 3),
                    "d": [round(1000 * share) for share in record.distribution or ()],
                    "p": [round(reference.of(mean), 1) for reference in references],
                    "t": "" if look is None else look.thumbnail,
                    "u": self._address(path),
                }
            )
        return {
            "photographs": rows,
            "folders": [printable(folder) or "." for folder in folders],
            "stacks": self._stacks([record.name for _, record, _ in done], [mean for _, _, mean in done]),
            "references": [reference.name for reference in references],
            "thumbnails": "" if self.folder is None else f"{quote(os.fsencode(self.folder.name))}/",
            "failed": [[printable(record.name), record.error or ""] for _, record in scored if record.mean is None],
            "model": done[0][1].model if done else "",
        }

    def _stacks(self, names: Sequence[str], means: Sequence[float]) -> list[list[int]]:
        """Places of near-duplicates, the best of each stack first; those that are alone are left out."""
        looked = [place for place, name in enumerate(names) if name in self._looks]
        candidates = [Candidate(means[place], float(place), self._looks[names[place]].hash) for place in looked]
        made = stacks(candidates, KeepPolicy())
        return [[int(one.taken_mono) for one in stack] for stack in made if len(stack) > 1]

    def _address(self, path: Path) -> str:
        """Of the photograph itself, from the page; "" where a browser cannot show it."""
        if path.suffix.lower() not in _SHOWN_BY_BROWSERS or not path.is_file():
            return ""
        try:
            relative = os.path.relpath(path, self.path.parent)
        except ValueError:  # another drive of Windows
            return ""
        return quote(os.fsencode(relative.replace(os.sep, "/")))


def _small(image: Image.Image) -> Image.Image:
    factor = -(-max(image.size) // _SIDE)
    if max(image.size) // factor >= 200:
        return image.reduce(factor)  # half the time of a resize
    scale = min(1.0, 240 / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    return image.resize(size, Image.Resampling.BILINEAR)


def _encode(image: Image.Image, room: int) -> bytes:
    content = b""
    for quality in _QUALITIES:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        content = file.getvalue()
        if len(content) <= room:
            break
    return content


def page(data: dict[str, Any]) -> str:
    """The page of what `ContactSheet` collects. Its one script and its style are all that the browser runs."""
    from markupsafe import Markup

    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("sheet.css", "sheet.js"))
    text = json.dumps(data, separators=(",", ":"))
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return render(
        "sheet.html",
        count=len(data["photographs"]),
        failed=data["failed"],
        folders=data["folders"],
        model=data["model"],
        style=Markup(style),
        script=Markup(script),
        data=Markup(text),
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

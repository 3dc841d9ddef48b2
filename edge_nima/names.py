"""What a photograph is called, and which row of a file is its own: never by a guess between two."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from edge_nima.errors import RequestError, printable


def name_of(path: str | os.PathLike[str]) -> str:
    """A path as records, manifests and JSON hold it: as it is on the disk, with "/" between folders.

    Bytes that are not UTF-8 are Python's surrogate escapes; JSON keeps these as escapes, CSV as the bytes themselves.
    """
    text = os.fspath(path)
    return text if os.sep == "/" else text.replace(os.sep, "/")


def real_path(path: str | os.PathLike[str]) -> str:
    """A path with the links of its folder followed; where its last part is one, it stays."""
    folder, name = os.path.split(path)
    return os.path.join(os.path.realpath(folder), name)


class Names:
    """Rows that carry a file, an id, or both, found by the path of a photograph."""

    def __init__(self, files: Sequence[str], ids: Sequence[str]) -> None:
        """Take n files (paths or names) and n ids, "" where a row has none."""
        self._files = {self.key(file, written=True): row for row, file in enumerate(files) if file}
        plain = {file: self._plain(file) for file in self._files}
        times = Counter(plain.values())
        for file, other in plain.items():
            if times[other] == 1:
                self._files.setdefault(other, self._files[file])
        self._ids = {self.key(name): row for row, name in enumerate(ids) if name}
        self._by_name: dict[str, list[str]] = {}
        for file in plain:
            if "/" in file:
                self._by_name.setdefault(PurePosixPath(file).name, []).append(file)

    @staticmethod
    def key(name: str | os.PathLike[str], *, written: bool = False) -> str:
        r"""A name as it is compared: composed Unicode (macOS decomposes), no "./".

        Where it was `written` in a file, on Windows perhaps, "\" becomes "/".
        """
        text = unicodedata.normalize("NFC", name_of(name))
        return str(PurePosixPath(text.replace("\\", "/") if written else text))

    @staticmethod
    def _plain(key: str) -> str:
        """A file without what is around its name in tables: spaces, the root, ".." in front."""
        key = key.strip()
        if not key.startswith(("/", "../")):
            return key
        return "/".join(part for part in key.split("/") if part not in ("", ".."))

    def find(self, photograph: str | os.PathLike[str]) -> int | None:
        """The row of a photograph, or None.

        In this order: the row whose file is the longest ending of the photograph's path, as it is given or, for an
        absolute one, with its links followed; the one row whose file ends in the photograph's path; the row whose id is
        the file name, with or without its ending. A row of another folder is another photograph. Spaces around a file,
        its root and ".." count where two rows differ in nothing else.

        Raises:
            RequestError: two rows end in the photograph's path.
        """
        path = PurePosixPath(self.key(photograph))
        row = self._ending(path)
        if row is None and path.is_absolute():
            row = self._ending(PurePosixPath(self.key(real_path(photograph))))
        if row is not None:
            return row
        longer = [file for file in self._by_name.get(path.name, ()) if file.endswith(f"/{path}")]
        if len(longer) > 1:
            raise RequestError(
                f"'{printable(photograph)}' can be '{longer[0]}' or '{longer[1]}' of the labels: give its folder too"
            )
        if longer:
            return self._files[longer[0]]
        return self._ids.get(path.name, self._ids.get(path.stem))

    def _ending(self, path: PurePosixPath) -> int | None:
        for start in range(len(path.parts)):
            row = self._files.get("/".join(path.parts[start:]).replace("//", "/"))
            if row is not None:
                return row
        return None

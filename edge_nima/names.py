"""Which row of a file is a photograph's: by relative path, file name or id, and never by a guess between two."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import PurePosixPath

from edge_nima.errors import RequestError, printable


class Names:
    """Rows that carry a file, an id, or both, found by the path of a photograph."""

    def __init__(self, files: Sequence[str], ids: Sequence[str]) -> None:
        """Take n files (relative paths or names) and n ids, "" where a row has none."""
        self._files = {self.key(file, written=True): row for row, file in enumerate(files) if file}
        self._ids = {self.key(name): row for row, name in enumerate(ids) if name}
        self._by_name: dict[str, list[str]] = {}
        for file in self._files:
            if "/" in file:
                self._by_name.setdefault(PurePosixPath(file).name, []).append(file)

    @staticmethod
    def key(name: str | os.PathLike[str], *, written: bool = False) -> str:
        r"""A name as it is compared: printable, composed Unicode (macOS decomposes), no "./".

        Where it was `written` in a file, on Windows perhaps, "\" becomes "/".
        """
        text = unicodedata.normalize("NFC", printable(name))
        return str(PurePosixPath(text.replace("\\", "/") if written else text))

    def find(self, photograph: str | os.PathLike[str]) -> int | None:
        """The row of a photograph, or None.

        In this order: the row whose file is the longest ending of the photograph's path; the one row whose file ends
        in the photograph's path; the row whose id is the file name, with or without its ending. A row of another folder
        is another photograph.

        Raises:
            RequestError: two rows end in the photograph's path.
        """
        path = PurePosixPath(self.key(photograph))
        for start in range(len(path.parts)):
            row = self._files.get("/".join(path.parts[start:]).replace("//", "/"))
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

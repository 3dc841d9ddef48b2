"""Files that a conversion leaves, and what an interrupted one goes on from."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from edge_nima.distribution import BINS
from edge_nima.errors import EdgeNimaError, OutputError, RequestError, printable, reason
from edge_nima.lock import try_lock
from edge_nima.records import form_of, is_special, write_whole
from edge_nima.reports.comparison import as_json, write_report
from edge_nima.reports.pages import need_report
from edge_nima_convert.calibration import Predict
from edge_nima_convert.recipes import Progress

if TYPE_CHECKING:
    from edge_nima_convert.conversion import Conversion

REPORTS = (".html", ".json")
_AT_A_TIME = 128  # photographs whose opinions are kept together


class Work:
    """What is finished of a job, by key: in memory, and in a folder that outlives an interruption and no success."""

    def __init__(self, folder: Path | None = None) -> None:
        """Take the folder, which one process at a time has; None for memory alone."""
        self.folder = folder
        self._held: dict[str, bytes] = {}

    def __enter__(self) -> Self:
        if self.folder is not None:
            self._fresh = not self.folder.is_dir()
            make_folder(self.folder)
            self._lock = open(self.folder / "lock", "a")
            if not try_lock(self._lock):
                self._lock.close()
                raise RequestError(f"another run is converting into '{printable(self.folder.parent)}': wait for it")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.folder is not None:
            refused = isinstance(error, EdgeNimaError) and error.exit_code == 2
            if kind is None or (refused and self._fresh):
                shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.close()

    def keep(self, key: Sequence[str], make: Callable[[], bytes]) -> bytes:
        """What was kept under a key; made now where nothing was."""
        name = hashlib.sha256("\n".join(key).encode()).hexdigest()
        path = self.folder and self.folder / name
        if name not in self._held and path and path.is_file():
            self._held[name] = path.read_bytes()
        if name not in self._held:
            self._held[name] = make()
            if path:
                write(path, self._held[name])
        return self._held[name]

    def remember(self, who: str, predict: Predict, progress: Progress, stage: str) -> Predict:
        """The same function from pixels to distributions, which is asked about no photograph twice."""

        def remembered(pixels: Any) -> Any:
            opinions = []
            for start in range(0, len(pixels), _AT_A_TIME):
                part = pixels[start : start + _AT_A_TIME]
                key = ("opinion", who, hashlib.sha256(part.tobytes()).hexdigest())
                content = self.keep(key, partial(lambda part: predict(part).astype("<f4").tobytes(), part))
                opinions.append(np.frombuffer(content, "<f4"))
                progress(stage, start + len(part), len(pixels), "")
            return np.concatenate(opinions).reshape(-1, BINS)

        return remembered


@dataclass(frozen=True)
class Files:
    """Where the files of a job go; each appears whole."""

    name: str
    """Of the checkpoint."""
    out: Path | None
    reference: Path | None
    report: Path | None
    """A folder, or one .html or .json."""
    overwrite: bool

    def check(self, recipes: Sequence[str], climbs: bool) -> None:
        """Refuse files that exist, one report of several recipes, and a page without its packages, before any work."""
        stems = [f"{self.name}-{recipe}" for recipe in recipes]
        reports = [path for stem in stems for path in self.reports(stem)]
        if self.report in reports and (climbs or len(stems) > 1):
            told = printable(self.report or "")
            raise RequestError(f"--report '{told}' is one file for several recipes; name a folder instead")
        if any(path.suffix.lower() == ".html" for path in reports):
            need_report()
        if self.report is not None and self.report not in reports:
            make_folder(self.report)
        models = [] if self.out is None else [self.out / f"{stem}.tflite" for stem in stems]
        if self.reference is not None:
            form_of(self.reference)
            models.append(self.reference)
        for path in models + reports:
            if not is_special(path) and path.exists() and not self.overwrite:
                raise RequestError(f"'{printable(path)}' exists: --overwrite replaces it")

    def check_calibration(self, content: bytes) -> None:
        """Refuse to replace the description of another calibration; the same one may be there."""
        path = self.out and self.out / f"{self.name}.calibration.json"
        if path and not self.overwrite and path.is_file() and path.read_bytes() != content:
            raise RequestError(f"'{printable(path)}' exists and is of another calibration: --overwrite replaces it")

    def reports(self, stem: str) -> list[Path]:
        """Of one conversion."""
        if self.report is None or (self.report.suffix.lower() in REPORTS and not self.report.is_dir()):
            return [self.report] if self.report else []
        return [self.report / f"{stem}{form}" for form in REPORTS]

    def write_reports(self, one: Conversion) -> None:
        """Write the comparison of a conversion with the float model, where it is wanted."""
        for path in self.reports(one.card.name):
            if path.suffix.lower() == ".html":
                title = f"Does {one.card.name} stand in for the float model? Gate: {one.verdict.status}"
                write_report(path, one.comparison, layers=one.layers, title=title)
            else:
                write(path, as_json(one.comparison, one.layers).encode())


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; it may be there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder '{printable(folder)}': {reason(error)}") from error


def write(path: Path, content: bytes) -> None:
    """Write a file that is there whole or not at all."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise OutputError(f"cannot write '{printable(path)}': {reason(error)}") from error

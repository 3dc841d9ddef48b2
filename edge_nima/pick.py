"""The best of many photographs: near-duplicates under their best one, each with the reason why it was taken."""

from __future__ import annotations

import io
import math
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import date, datetime
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from edge_nima import tar_members
from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.names import name_of
from edge_nima.percentiles import AVA, Percentiles, percentiles_of
from edge_nima.records import ScoreRecord
from edge_nima.scorer import Scorer
from edge_nima.selection import Candidate, KeepPolicy, stacks
from edge_nima.sidecars import sidecars_of
from edge_nima.similarity import perceptual_hash

_EXIF, _TAKEN = 0x8769, 0x9003


@dataclass(eq=False)
class _Photograph(Candidate):
    path: Path = Path()
    record: ScoreRecord | None = None
    day: date | None = None


@dataclass(frozen=True)
class Picked:
    """A photograph that was taken."""

    path: Path
    record: ScoreRecord
    rank: int
    """Its place among all that have a score, 1 for the best."""
    day: date | None
    """On which it was taken; None unless days were asked for."""
    alike: tuple[str, ...]
    """Names of the near-duplicates that it stands for, best first."""
    why: str
    """One line for a person."""


@dataclass(frozen=True)
class Pick:
    """What was taken of how many, and what was not."""

    picked: tuple[Picked, ...]
    """Best first; by days, the earliest day first."""
    scored: int
    alike: int
    """Photographs that a taken one stands for."""
    below: int
    """Photographs left because others are better, and those below the least mean."""
    failed: tuple[ScoreRecord, ...]
    by_file_time: int
    """Photographs whose day is that of their file: nothing in them says when they were taken."""

    def told(self) -> str:
        """One line: what was taken and what was not."""
        parts = [f"{self.alike:,} alike", f"{self.below:,} below", f"{len(self.failed):,} not scored"]
        left = ", ".join(part for part in parts if not part.startswith("0 "))
        days = f"; {self.by_file_time:,} have only the time of their file" if self.by_file_time else ""
        return f"{len(self.picked):,} of {self.scored + len(self.failed):,} taken; left: {left or 'none'}{days}"


def pick(
    photographs: Sequence[Path],
    scorer: Scorer,
    *,
    keep: int | None = None,
    per_day: int | None = None,
    min_score: float | None = None,
    alike: int = KeepPolicy.likeness,
    jobs: int = 1,
    step: Callable[[], None] = lambda: None,
) -> Pick:
    """Score photographs and take the best. The same photographs give the same, in any order and with any `jobs`.

    Args:
        photographs: their paths.
        scorer: says what each is worth.
        keep: the most that are taken; None for no limit.
        per_day: the most of each day; None for no such limit.
        min_score: least mean, 1..10.
        alike: perceptual hashes that differ in at most so many of 64 bits show the same; -1 for never.
        jobs: photographs at once.
        step: called after each.

    Raises:
        RequestError: a number is below 1, or there is nothing to choose by.
    """
    for name, value in (("keep", keep), ("per_day", per_day)):
        if value is not None and value < 1:
            raise RequestError(f"{name} is {value}; possible: 1 and more")
    if min_score is not None and math.isnan(min_score):
        raise RequestError("min_score is nan; possible: 1 to 10")
    if keep is None and per_day is None and min_score is None:
        raise RequestError("nothing to choose by: give keep, per_day or min_score")
    paths = sorted(photographs, key=lambda path: os.fsencode(name_of(path)))
    hashes: dict[str, int] = {}

    def look(picture: Any, image: Image.Image) -> None:
        hashes[name_of(picture)] = perceptual_hash(np.asarray(image))

    done: list[_Photograph] = []
    failed = []
    with closing(scorer.score_batch(paths, jobs, look)) as records:
        for place, (path, record) in enumerate(zip(paths, records, strict=True)):
            if record.mean is None:
                failed.append(record)
            else:
                done.append(_Photograph(record.mean, float(place), hashes[record.name], path=path, record=record))
            step()
    by_file = 0
    if per_day is not None:
        for one in done:
            one.day, said = day_of(one.path)
            by_file += not said
    taken = _choose(done, keep, per_day, min_score, alike)
    return Pick(
        _explained(taken, done), len(done), sum(len(stack) - 1 for stack in taken),
        len(done) - sum(map(len, taken)), tuple(failed), by_file,
    )  # fmt: skip


def _choose(
    done: list[_Photograph], keep: int | None, per_day: int | None, min_score: float | None, alike: int
) -> list[list[_Photograph]]:
    """The stacks that are taken, the best of each first."""
    policy = KeepPolicy(likeness=alike)
    days: dict[date | None, list[_Photograph]] = defaultdict(list)
    for one in done:
        days[one.day].append(one)
    taken = []
    for day in sorted(days, key=lambda day: day or date.min):
        found = [stack for stack in stacks(days[day], policy) if stack[0].mean >= (min_score or 0.0)]
        taken += found[: per_day or keep]
    if per_day is None or keep is None:
        return taken
    best = sorted(taken, key=lambda stack: (-stack[0].mean, stack[0].taken_mono))[:keep]
    return [stack for stack in taken if stack in best]


def _explained(taken: list[list[_Photograph]], done: list[_Photograph]) -> tuple[Picked, ...]:
    here = percentiles_of((one.mean for one in done), "these")
    ranked = sorted(done, key=lambda one: (-one.mean, one.taken_mono))
    rank = {id(one): place for place, one in enumerate(ranked, 1)}
    made = []
    for best, *others in taken:
        if best.record is None or here is None:
            continue
        names = tuple(other.record.name for other in others if other.record is not None)
        made.append(
            Picked(best.path, best.record, rank[id(best)], best.day, names, _why(best, rank[id(best)], names, here))
        )
    return tuple(made)


def _why(one: _Photograph, rank: int, alike: tuple[str, ...], here: Percentiles) -> str:
    told = f"{rank} of {len(here.quantiles):,}, mean {one.mean:.2f}; better than {int(here.of(one.mean))} % of these"
    told += f" and {int(AVA.of(one.mean))} % of AVA"
    if alike:
        shown = ", ".join(printable(os.path.basename(name)) for name in alike[:3])
        more = f" and {len(alike) - 3} more" if len(alike) > 3 else ""
        told += f"; stands for {len(alike)} alike: {shown}{more}"
    return f"{told}; of {one.day}" if one.day else told


def day_of(path: Path) -> tuple[date, bool]:
    """The day on which a photograph was taken, and whether it says so itself; else that of its file.

    Raises:
        OSError: there is no such file.
    """
    inside = None if path.is_file() else io.BytesIO(tar_members.read_file(path))
    with suppress(Exception), Image.open(inside or path) as image:  # whatever its metadata may be, it has a score
        text = str(image.getexif().get_ifd(_EXIF).get(_TAKEN, ""))
        return datetime.strptime(text[:10], "%Y:%m:%d").date(), True
    file = path
    while not file.exists() and file != file.parent:  # inside a tar file
        file = file.parent
    return datetime.fromtimestamp(file.stat().st_mtime).date(), False


def targets_in_folder(picked: Sequence[Picked]) -> list[list[tuple[Path, str]]]:
    """For each photograph its files, itself first, then its sidecars, with their names in one folder.

    A photograph has its own name; where one of its files would have the name of another, its folder's name before it,
    then with a number.
    """
    made, used = [], set[str]()
    for one in picked:
        sidecars = sidecars_of(one.path)
        for number in count():
            name = one.path.name
            if number:
                tail = "" if number == 1 else f"_{number}"
                name = f"{one.path.parent.name}_{one.path.stem}{tail}{one.path.suffix}"
            files = [(one.path, name)]
            files += [(side, f"{name if full else Path(name).stem}.xmp") for side, full in sidecars]
            lowered = {target.lower() for _, target in files}  # FAT, exFAT and macOS know no case
            if used.isdisjoint(lowered):
                break
        used |= lowered
        made.append(files)
    return made


def put(
    picked: Sequence[Picked], folder: Path, *, link: bool = False, overwrite: bool = False,
    step: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    """Copy photographs into a folder, or link to them; each file appears whole, its sidecars with it.

    Args:
        picked: what was taken.
        folder: made when it is not there.
        link: symbolic links; photographs in tar files are copied all the same.
        overwrite: replace files of the same names.
        step: called after each.

    Raises:
        RequestError: a file is there already.
        OutputError: a file cannot be written; what was written before it stays.
    """
    files = targets_in_folder(picked)
    pairs = [(source, folder / name) for group in files for source, name in group]
    there = [target for _, target in pairs if os.path.lexists(target)]
    if there and not overwrite:
        more = f" and {len(there) - 1} more" if len(there) > 1 else ""
        raise RequestError(f"'{printable(there[0])}'{more} exists: --overwrite replaces it")
    done = 0
    photographs = {one.path for one in picked}
    for source, target in pairs:
        partial = target.with_name(f".{target.name}.partial")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _place(source, partial, link)
            os.replace(partial, target)
        except BaseException as error:
            with suppress(OSError):
                partial.unlink()
            if not isinstance(error, OSError):
                raise
            told = f"after {done} of {len(picked)} photographs"
            raise OutputError(f"cannot write '{printable(target)}', {told}: {reason(error)}") from error
        if source in photographs:
            done += 1
            step()


def _place(source: Path, target: Path, link: bool) -> None:
    with suppress(FileNotFoundError):
        target.unlink()
    if not source.is_file():  # inside a tar file
        target.write_bytes(tar_members.read_file(source))
    elif link:
        target.symlink_to(source.resolve())
    else:
        shutil.copy2(source, target)


def without_folder(photographs: Sequence[Path], folder: Path) -> tuple[list[Path], int]:
    """Photographs that are not in a folder, and how many are: what was picked earlier is not picked from."""
    inside = os.path.realpath(folder)
    kept = [path for path in photographs if not f"{os.path.realpath(path.parent)}/".startswith(f"{inside}/")]
    return kept, len(photographs) - len(kept)

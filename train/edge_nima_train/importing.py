"""What people have, photographs with ratings in one form or another, to a manifest, and in the same pass to shards."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from edge_nima import tar_members
from edge_nima.decode import photograph_suffixes
from edge_nima.distribution import BINS, Floats, mean_rating
from edge_nima.errors import LabelError, OutputError, RequestError, printable, reason
from edge_nima.label_text import RATING, SCALE_OPTION, TEN, Scale, ask_for_scale, refuse_scale_of_votes, refuse_second
from edge_nima.labels import Labels, spread_votes
from edge_nima.lock import LOCK, claimed
from edge_nima.names import Names
from edge_nima.photographs import find_photographs
from edge_nima.pixels import Preprocessing
from edge_nima.records import write_whole
from edge_nima.scorer import available_cores
from edge_nima_train.columns import Record, parse_columns
from edge_nima_train.inspection import DAMAGED, EXTRA, FILE_FAULTS, MISSING, ROW_FAULTS, Fault
from edge_nima_train.layouts import STATE, Opened, beneath, open_sources
from edge_nima_train.manifest import OWN_COLUMNS, VALIDATION, Manifest, scale_column, split_of, write_manifest
from edge_nima_train.pack import PREPROCESSING, PackReport, Pictures, clear, pack
from edge_nima_train.shard_tar import ShardPlan, done_of, is_done, members_of, write_shards
from edge_nima_train.shards import PLACES, SOURCE
from edge_nima_train.split import split

MANIFEST, SHARDS, KEPT = "manifest.csv", "shards", "photographs-"
"""What is in the folder, beside `STATE`; the last is what tar files of photographs begin with."""
PER_TAR = 1000
_NOT_KEPT = {*OWN_COLUMNS, *PLACES, SOURCE, "width", "height", "aspect", "flags", ""}
"""Columns of other files than those that the manifest will name, or that it has itself."""
Tell = Callable[[str, int, int, str], None]
"""Called with what is being done, how much of it is done, of how much (0: not known), and a note."""


@dataclass(frozen=True)
class Packing:
    """How `import_ratings` packs; the first three as of `edge_nima_train.pack.pack`."""

    size: int = 256
    preprocessing: Preprocessing = PREPROCESSING
    quality: int = 95
    validation: float = 0.1
    """Share that validates where the source does not say which do."""
    test: Collection[str] = ()
    """Ids of the test photographs, beside those that the source says."""


@dataclass(frozen=True)
class ImportReport:
    """What `import_ratings` did."""

    manifest: Path
    told: tuple[str, ...]
    """As what the sources were read, what was done to the ratings, what was left out: a line each."""
    splits: Mapping[str, int]
    """Photographs by split."""
    left_out: tuple[Fault, ...]
    packed: PackReport | None


@dataclass
class _Row:
    """A row of a source that can be used."""

    place: int
    """Among all of the source."""
    image_id: str
    file: str
    ratings: tuple[float, ...]
    """k votes, or one mean."""
    split: str
    picture: str
    """Where it is; "" where that is not known yet, or it is embedded."""
    columns: Mapping[str, str]

    @property
    def name(self) -> str:
        """What it is called."""
        return self.file or self.image_id


@dataclass
class _Reading:
    """What is known while a source is read."""

    scale: Scale | None
    k: int = 0
    seen: dict[str, dict[str, int]] = field(default_factory=lambda: {"id": {}, "file": {}})
    faults: list[Fault] = field(default_factory=list)


def import_ratings(
    sources: Sequence[str | os.PathLike[str]],
    out: Path,
    *,
    columns: str | None = None,
    scale: str | None = None,
    packing: Packing | None = None,
    jobs: int | None = None,
    overwrite: bool = False,
    ask: str = SCALE_OPTION,
    tell: Tell = lambda *_: None,
) -> ImportReport:
    """Write OUT/manifest.csv, and with `packing` OUT/shards; stopped at any moment, the same call goes on.

    Photographs that are files, or members of tar files, stay where they are and the manifest names them. Those that are
    inside parquet files are copied into OUT/photographs-NNNNN.tar, unless they are packed: then the manifest names the
    packed ones. OUT/import.json lists what was left out.

    Args:
        sources: files, folders, patterns and addresses in one of `layouts`, and folders or tar files with the
            photographs of a table of labels; without these they are looked for in the table's own folder.
        out: the folder.
        columns: which is what, such as "mean=MOS,file=name"; None where their names are usual.
        scale: of mean ratings, and `ask`: as of `edge_nima.labels.read_labels`.
        packing: None for no shards.
        jobs: photographs at once; None for the processor's cores.
        overwrite: start anew in a folder of another import.
        tell: told how far it is.

    Raises:
        RequestError: sources that are in no known form, columns or a scale that are not clear, no row that can be used,
            or a folder that holds something else.
        PackageMissing: pyarrow or huggingface_hub is needed and not installed.
        OutputError: the folder cannot be written.
    """
    given = [os.fspath(source) for source in sources]
    layout, opened, rest = open_sources(given, parse_columns(columns))
    reading = _Reading(None if scale is None else Scale.parse(scale, "--scale"))
    rows = _read(opened, reading, tell)
    if opened.embedded is None:
        places = rest or [*dict.fromkeys(str(Path(source).parent) for source in given)]
        rows = _join(rows, {key: path for place in places for key, path in _beneath(place)}, reading.faults)
    labels, told = _labels(rows, opened, reading.scale, PurePosixPath(given[0]), ask)
    if opened.embedded is not None and rest:
        told.append(f"not used, since the photographs are in the data set itself: {printable(', '.join(rest))}")
    state = {"sources": given, "scale": scale, "rows": _sha256(rows), "packing": _sha256([packing])}
    with claimed(out, "importing"):
        _begin(out, state, overwrite)
        manifest = _manifest(labels, rows, out)
        if packing is not None:
            manifest, more = _divide(manifest, packing)
            told += more
        manifest, lost, packed = _place(manifest, out, _stream(opened, rows), packing, jobs, tell)
        write_manifest(out / MANIFEST, manifest)
        faults = (*reading.faults, *(Fault(DAMAGED, why, None, name) for name, why in lost))
        _write(out / STATE, state, faults, len(manifest))
    told = [f"read as {layout.name}: {opened.columns.told()}", *told, *_counts(faults, out)]
    return ImportReport(out / MANIFEST, tuple(told), Counter(manifest.split), faults, packed)


def _read(opened: Opened, reading: _Reading, tell: Tell) -> list[_Row]:
    """Every row that can be used."""
    rows, first = list[_Row](), None
    for place, record in enumerate(opened.records):
        try:
            rows.append(_row(opened, record, place, reading))
        except LabelError as error:
            first = first or error
            fault = Fault(error.kind, f"'{record.path.name}': {error.what}", error.line)
            reading.faults.append(fault)
        if place % 1000 == 0:
            tell("rows", place, 0, "")
    if not rows:
        raise first or RequestError("the sources hold no row; possible: one photograph on a line")
    return rows


def _row(opened: Opened, record: Record, place: int, reading: _Reading) -> _Row:
    """Check a record; a faulty one's names do not count as taken."""
    columns, cells = opened.columns, record.cells
    names = {"id": _text(cells.get(columns.id)), "file": _text(cells.get(columns.file)).replace("\\", "/")}
    if not any(names.values()):
        if columns.id or columns.file:
            raise record.refusal("the photograph's name is empty", "a name")
        names["file"] = record.name or f"{place:08}"
    for role, name in names.items():
        if name:
            refuse_second(record.path, record.line, role, name, reading.seen[role])
    ratings = columns.ratings(record)
    if len(ratings) != (reading.k or len(ratings)):
        raise record.refusal(f"{len(ratings)} counts", f"{reading.k}, as in the first row", RATING)
    if columns.mean:
        _check_scale(record, columns.mean, ratings[0], reading)
    divided = split_of(record.path, record.line, _text(cells.get(columns.split)) if columns.split else record.split)
    reading.k = len(ratings)
    for role, name in names.items():
        reading.seen[role][name] = record.line
    others = {name.strip().lower(): _text(value) for name, value in cells.items() if name not in columns.used}
    kept = {name: cell for name, cell in others.items() if name not in _NOT_KEPT}
    return _Row(place, names["id"], names["file"], ratings, divided, record.picture, kept)


def _check_scale(record: Record, column: str, mean: float, reading: _Reading) -> None:
    if "scale" in record.cells:
        said = Scale.parse(_text(record.cells["scale"]), f"'{printable(record.path)}' line {record.line}: scale")
        if said != (reading.scale or said):
            raise record.refusal(f"scale is {said}", f"{reading.scale}, as is stated before")
        reading.scale = said
    if reading.scale is not None and not reading.scale.low <= mean <= reading.scale.high:
        raise record.refusal(f"{column} is {mean:g}", f"{reading.scale}", RATING)


def _text(value: object) -> str:
    return "" if value is None or isinstance(value, list | dict | bytes) else str(value).strip()


def _join(rows: list[_Row], there: Mapping[str, str], faults: list[Fault]) -> list[_Row]:
    """The rows whose photograph is found: where they say, or by path, file name or id among those that are `there`."""
    for row in rows:
        if os.path.isabs(row.file) and tar_members.is_file(row.file):
            row.picture = row.file
    lost = [row for row in rows if not row.picture]
    if lost:
        # A name without a photograph's ending is as good as an id.
        known = [os.path.splitext(row.file)[1].lower() in photograph_suffixes() for row in lost]
        files = [row.file if is_name else "" for row, is_name in zip(lost, known, strict=True)]
        ids = [row.image_id or ("" if is_name else row.file) for row, is_name in zip(lost, known, strict=True)]
        names, exact = Names(files, ids), {Names.key(file, written=True) for file in files}
        for key in sorted(there, key=lambda key: Names.key(key) not in exact):
            why = "no row names it, or another photograph is the row's already"
            try:
                found = names.find(key)
            except RequestError as error:
                found, why = None, str(error)
            if found is not None and not lost[found].picture:
                lost[found].picture = there[key]
            else:
                faults.append(Fault(EXTRA, why, None, key))
        faults += [Fault(MISSING, "no such file", None, row.name) for row in lost if not row.picture]
    kept = [row for row in rows if row.picture]
    if not kept:
        raise RequestError(
            f"none of the {len(rows)} photographs is found, such as '{printable(rows[0].name)}': give the folder or "
            "the tar files that hold them among the sources"
        )
    return kept


def _beneath(place: str) -> Iterator[tuple[str, str]]:
    """Photographs of a folder or tar file, and of the tar files in a folder: name there, and path."""
    for root in [*beneath(place, (".tar",)), *([place] if os.path.isdir(place) else [])]:
        try:
            for path in find_photographs([root]):
                yield path.relative_to(root).as_posix(), str(path)
        except RequestError:
            continue  # it holds none, which is told when none is found anywhere


def _labels(
    rows: Sequence[_Row], opened: Opened, scale: Scale | None, where: PurePosixPath, ask: str
) -> tuple[Labels, list[str]]:
    """The rows' ratings on 1..10, and what was done to them."""
    table, told, votes = np.array([row.ratings for row in rows]), list[str](), None
    k = table.shape[1]
    if opened.columns.mean:
        if scale is None:
            ask_for_scale(where, opened.columns.mean, table[:, 0].tolist(), ask, always=opened.doubtful)
        scale = scale or TEN
        means: Floats = np.array([scale.to_ten(mean) for mean in table[:, 0].tolist()])
        if scale != TEN:
            how = f"1 + 9 (mean - {scale.low:g}) / {scale.high - scale.low:g}"
            told.append(f"means on {scale} are brought to 1..10: {how}")
    else:
        refuse_scale_of_votes(where, scale, k)
        scale, votes = Scale(1, k), spread_votes(table)
        means = np.clip(mean_rating(votes), 1, 10)
        if k != BINS:
            how = f"rating r counts at 1 + 9 (r - 1) / {k - 1}, shared by the whole ratings on both sides"
            told.append(f"votes on {scale} are spread over 1..10: {how}")
    stems = [row.image_id or PurePosixPath(row.file).stem for row in rows]
    ids = stems if len({*stems}) == len(stems) else [row.image_id for row in rows]
    return Labels(where.name, "", tuple(ids), tuple(row.file for row in rows), means, votes, scale), told


def _manifest(labels: Labels, rows: Sequence[_Row], out: Path) -> Manifest:
    names = dict.fromkeys(name for row in rows for name in row.columns)
    columns = {name: tuple(row.columns.get(name, "") for row in rows) for name in names}
    splits = tuple(row.split for row in rows)
    manifest = Manifest(labels, out, splits, None, columns | scale_column(labels, columns))
    if not rows[0].picture:
        return manifest
    here = os.path.realpath(out)  # not through a link: from there ".." leads elsewhere
    return _with_files(manifest, [os.path.relpath(row.picture, here) for row in rows])


def _with_files(manifest: Manifest, files: Sequence[str]) -> Manifest:
    return replace(manifest, labels=replace(manifest.labels, files=tuple(files)))


def _stream(opened: Opened, rows: Sequence[_Row]) -> Pictures | None:
    """Reads embedded photographs by rows; None where they are files."""
    embedded = opened.embedded
    if embedded is None:
        return None

    def read(wanted: Sequence[int]) -> Iterator[tuple[int, Path | bytes]]:
        pictures = embedded([rows[row].place for row in wanted])
        return zip(wanted, (picture for _, picture in pictures), strict=True)

    return read


def _divide(manifest: Manifest, packing: Packing) -> tuple[Manifest, Sequence[str]]:
    """Splits as the source says them; where it does not say what validates, a share by a hash."""
    if VALIDATION not in manifest.split:
        done = split(manifest, test=packing.test, validation=packing.validation, keep=True)
        return done.manifest, [*done.unused, *done.notes]
    if packing.test:
        raise RequestError(
            "--test: the source itself says what trains, validates and tests; without --pack, edge-nima data split "
            "--resplit divides anew"
        )
    return manifest, []


def _place(
    manifest: Manifest, out: Path, pictures: Pictures | None, packing: Packing | None, jobs: int | None, tell: Tell
) -> tuple[Manifest, Sequence[tuple[str, str]], PackReport | None]:
    """The manifest with photographs where they are to stay; which cannot be read, and why; what was packed."""
    done, packed = 0, None

    def step() -> None:
        nonlocal done
        done += 1
        tell("photographs", done, len(manifest), "")

    if packing is not None:
        packed = pack(
            manifest, out / SHARDS, size=packing.size, preprocessing=packing.preprocessing, quality=packing.quality,
            jobs=jobs, step=step, pictures=pictures,
        )  # fmt: skip
        files, lost = {row: f"{SHARDS}/{name}" for row, name in sorted(packed.members.items())}, [*packed.left_out]
    elif pictures is not None:
        files, lost = _keep(manifest, out, pictures, jobs, step)
    else:
        return manifest, (), None
    if not files:
        raise RequestError(f"none of {len(lost)} photographs can be read, such as '{lost[0][0]}': {lost[0][1]}")
    return _with_files(manifest.only([*files]), [*files.values()]), lost, packed


def _keep(
    manifest: Manifest, out: Path, pictures: Pictures, jobs: int | None, step: Callable[[], None]
) -> tuple[dict[int, str], list[tuple[str, str]]]:
    """Copy embedded photographs into tar files; by row where they are, and those that are none."""
    rows = range(len(manifest))
    tars = [ShardPlan(f"{KEPT}{at // PER_TAR:05}", (*rows[at : at + PER_TAR],), None, None) for at in rows[::PER_TAR]]
    waiting = [tar for tar in tars if not is_done(out, tar)]
    wanted = [row for tar in waiting for row in tar.rows]
    for _ in range(len(rows) - len(wanted)):
        step()
    write_shards(manifest, out, waiting, pictures(wanted), jobs or available_cores(), step)
    files = {row: name for tar in tars for row, name in members_of(out, tar).items()}
    return files, [(name, why) for tar in tars for name, why in done_of(out, tar)["left_out"]]


def _sha256(parts: Iterable[object]) -> str:
    """Of all that they say: another one, another import."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _begin(out: Path, state: Mapping[str, Any], overwrite: bool) -> None:
    """Say in the folder what is being imported, or check that it is the same."""
    shown, there = printable(out), None
    if (out / STATE).exists():
        try:
            there = json.loads((out / STATE).read_text(encoding="utf-8"))["settings"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RequestError(f"'{shown}/{STATE}' cannot be read: {reason(error)}; give another folder") from error
    elif foreign := [path.name for path in out.iterdir() if path.name not in {LOCK, f"{STATE}.new"}]:
        raise RequestError(f"'{shown}' holds something else, such as '{printable(foreign[0])}'; give an empty folder")
    if overwrite:
        for path in [out / MANIFEST, *out.glob(f"{KEPT}[0-9][0-9][0-9][0-9][0-9].*")]:
            path.unlink(missing_ok=True)
        clear(out / SHARDS)
    elif other := [key for key, value in state.items() if there and there.get(key) != value]:
        raise RequestError(f"'{shown}' holds another import ({', '.join(other)} differ): --overwrite starts anew")
    if overwrite or there is None:
        _write(out / STATE, state, (), None)


def _write(path: Path, state: Mapping[str, Any], faults: Sequence[Fault], photographs: int | None) -> None:
    """Write import.json; `photographs` is None as long as the import is not finished."""
    counts = Counter(fault.kind for fault in faults)
    told = {"format": 1, "settings": state, "photographs": photographs, "left_out": counts,
            "faults": [asdict(fault) for fault in faults]}  # fmt: skip
    try:
        write_whole(path, (json.dumps(told, indent=1) + "\n").encode())
    except OSError as error:
        raise OutputError(f"cannot write '{printable(path)}': {reason(error)}") from error


def _counts(faults: Sequence[Fault], out: Path) -> Iterator[str]:
    """What was left out, a line a kind."""
    first = {fault.kind: fault for fault in reversed(faults)}
    for kind, count in Counter(fault.kind for fault in faults).items():
        where = first[kind].file or f"line {first[kind].line}"
        what = (
            f"{count:,} {(ROW_FAULTS | FILE_FAULTS)[kind]}, such as {printable(where)}: {printable(first[kind].what)}"
        )
        yield f"left out: {what}; '{printable(out / STATE)}' lists all"

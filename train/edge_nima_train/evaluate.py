"""An evaluation from files to a report: a checkpoint, or its records, held against people's ratings."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edge_nima.errors import OutputError, RequestError, printable, reason
from edge_nima.fetch import sha256_of
from edge_nima.in_order import in_order
from edge_nima.joining import Opinions, read_opinions
from edge_nima.labels import few
from edge_nima.names import name_of
from edge_nima.registry import locate
from edge_nima.reports.pages import need_report, page, write_page
from edge_nima.scorer import available_cores
from edge_nima_train.checkpoint import DONE, Checkpoint, open_checkpoint, run_of
from edge_nima_train.evaluation import MIN_SPREAD, Evaluation, Subject, evaluate
from edge_nima_train.evaluation_report import as_json, report
from edge_nima_train.leakage import HASHES, Leaks, Photograph, find_leaks
from edge_nima_train.manifest import TRAIN, Manifest, read_manifest
from edge_nima_train.opinions import join, of_split
from edge_nima_train.predict import SILENT, Progress, score_to_file
from edge_nima_train.published import official_test, read_official_list

PAGE, DOCUMENT, RECORDS = "index.html", "evaluation.json", "records.jsonl"
"""What a report's folder holds."""
_OVERLAP = (
    "idealo's training file overlaps AVA's official test list: only 1,945 of its 20,000 photographs are in idealo's "
    "own test file"
)


@dataclass(frozen=True)
class Judges:
    """The photographs that judge, how they do, and where the report goes."""

    manifest: str | os.PathLike[str]
    """People's ratings: a manifest, a label CSV or AVA.txt."""
    images: Path | None = None
    """Folder of its photographs; None for the manifest's own."""
    split: str | None = None
    """"train", "val", "test" or "all"; None for "test", and for "all" where there are no splits."""
    out: Path | None = None
    """Folder for page, numbers and records; None for evaluation-SPLIT in the run folder, and of records for none."""
    overwrite: bool = False
    """Replace a report that is there."""
    drop_trained: bool = False
    """Leave out photographs that the network was trained on, do not refuse."""
    official: bool = False
    """Whether they are said to be AVA's official test photographs; `official_list` is its generic_test.jpgl."""
    official_list: Path | None = None
    min_spread: float = MIN_SPREAD
    """Spread ratio below which the predictions count as collapsed, 0..1."""
    seed: int = 0
    """Of the bootstrap."""
    jobs: int | None = None
    """Photographs read at once; None for the processor's cores."""
    scale: str | None = None
    """Of mean ratings, as of `edge_nima.labels.read_labels`."""


@dataclass(frozen=True)
class Guarded:
    """Photographs that may judge."""

    manifest: Manifest
    left_out: Mapping[str, tuple[str, ...]]
    """Photographs that may not, by the reason, in words that follow their number."""
    warnings: tuple[str, ...]


Ask = Callable[[Manifest], Opinions]
Told = Callable[[str], None]


def evaluate_checkpoint(
    checkpoint: str | os.PathLike[str],
    judges: Judges,
    *,
    progress: Progress = SILENT,
    told: Told = lambda line: None,
    **options: Any,
) -> Evaluation:
    """Score photographs and hold the scores against people's ratings. Cut short, the same call goes on.

    Args:
        checkpoint: a run folder, a file, or a name from `edge-nima models list`.
        judges: on what; the report is written there.
        progress: called with a stage, how much of it is done, of how much, and a note.
        told: called with lines for a person.
        options: as for `open_checkpoint`.

    Raises:
        RequestError: what is asked for cannot be, or the network was trained on photographs that judge.
        CheckpointError, OutputError: as `open_checkpoint`; the report cannot be written.
    """
    everything, judging, split = _read(judges)
    run = run_of(Path(checkpoint))
    if judges.out is None and run is None:
        raise RequestError(
            f"'{printable(checkpoint)}' is in no run folder: say where the report goes with --out FOLDER"
        )
    out = judges.out or Path(run or "", f"evaluation-{split}")
    _check_out(out, judges.overwrite)
    trained = open_checkpoint(locate(checkpoint), **options)
    for note in trained.notes:
        told(note)
    guarded = guard(trained, judging, drop=judges.drop_trained, jobs=judges.jobs, progress=progress)

    def ask(asked: Manifest) -> Opinions:
        _make(out)
        photographs, path = [asked.photograph(row) for row in range(len(asked))], out / RECORDS
        # Without a report the earlier call was cut short; its records are checked against the weights and the files.
        score_to_file(trained, photographs, path, resume=not judges.overwrite, jobs=judges.jobs, progress=progress)
        return replace(read_opinions(path), source=name_of(path))

    return _hold(replace(judges, out=out, split=split), everything, guarded, ask, told)


def evaluate_records(records: str | os.PathLike[str], judges: Judges, *, told: Told = lambda line: None) -> Evaluation:
    """The same for records of `train predict` or `score`, without Keras; `judges.drop_trained` has no effect."""
    everything, judging, split = _read(judges)
    if judges.out is not None:
        _check_out(judges.out, judges.overwrite)
    opinions = read_opinions(records)
    guarded = Guarded(judging, {}, ("it cannot be known what the model of these records was trained on",))
    return _hold(replace(judges, split=split), everything, guarded, lambda asked: opinions, told)


def _read(judges: Judges) -> tuple[Manifest, Manifest, str]:
    """All photographs, those of the split, and its name."""
    if judges.official_list is not None:
        read_official_list(judges.official_list)
    everything = read_manifest(judges.manifest, judges.images, judges.scale)
    return everything, *of_split(everything, judges.split)


def _check_out(out: Path, overwrite: bool) -> None:
    """Refuse a folder that cannot take the report, or would lose an earlier one, before any work."""
    need_report()
    if out.exists() and not out.is_dir():
        raise RequestError(f"--out '{printable(out)}' is no folder")
    there = [out / name for name in (PAGE, DOCUMENT) if (out / name).exists()]
    if there and not overwrite:
        raise RequestError(f"'{printable(there[0])}' exists: --overwrite replaces it")


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write '{printable(out)}': {reason(error)}") from error


def guard(
    trained: Checkpoint, manifest: Manifest, *, drop: bool = False, jobs: int | None = None, progress: Progress = SILENT
) -> Guarded:
    """Check that a network has not seen the photographs that are to judge it.

    Args:
        trained: the network, and the photographs that its run recorded.
        manifest: those that are to judge.
        drop: leave out what it was trained on, do not refuse.
        jobs, progress: of reading their files, see `_leaks`.

    Raises:
        RequestError: it was trained on some and `drop` is False, or on all.
    """
    if trained.trained_on is None:
        why = _OVERLAP if trained.known else "there is no photographs.csv beside it"
        return Guarded(manifest, {}, (f"it cannot be known what {trained.name} was trained on: {why}",))
    leaks = _leaks(manifest, trained.trained_on, jobs, progress)
    names, total = manifest.names, len(manifest)
    gone = [names[row] for row in leaks.trained]
    if gone and not drop:
        raise RequestError(
            f"{len(gone)} of {total} photographs are among those that {trained.name} was trained on, "
            f"such as {few(gone)}: --drop-trained leaves them out"
        )
    if len(gone) == total:
        raise RequestError(f"{trained.name} was trained on all {total} photographs: none is left to judge by")
    warnings = []
    if trained.run is not None and not (trained.run / DONE).is_file():
        warnings.append(f"the training of {trained.name} is not finished: these are its best weights so far")
    for rows, told in (
        (leaks.validated, "chose this run's best epoch, and flatter it"),
        (leaks.namesakes, "have the file name of one it was trained on and another id: taken as other photographs"),
    ):
        if rows:
            warnings.append(f"{len(rows)} of {total} photographs {told}, such as {few([names[row] for row in rows])}")
    kept = manifest.only(sorted(set(range(total)) - set(leaks.trained))) if gone else manifest
    return Guarded(kept, {"that it was trained on": tuple(gone)} if gone else {}, tuple(warnings))


def _leaks(manifest: Manifest, seen: Sequence[Photograph], jobs: int | None, progress: Progress) -> Leaks:
    """Which photographs of a manifest a run has seen, see `leakage`.

    Where the run knows content, it is compared by the manifest's hashes, or else by those of the files, which are read.
    """
    columns = [manifest.columns.get(name, ("",) * len(manifest)) for name in HASHES]
    hashes = [frozenset(cell for cell in cells if cell) for cells in zip(*columns, strict=True)]
    if any(one.hashes for one in seen):
        unknown = [row for row, known in enumerate(hashes) if not known]
        found = in_order(lambda row: _content(manifest.photograph(row)), unknown, jobs or available_cores())
        for done, (row, content) in enumerate(zip(unknown, found, strict=True), 1):
            hashes[row] = content
            progress("comparing photographs with those trained on", done, len(unknown), "")
    return find_leaks(list(map(Photograph, manifest.labels.ids, manifest.labels.files, hashes)), seen)


def _content(photograph: Path) -> frozenset[str]:
    try:
        return frozenset({sha256_of(photograph)})
    except (OSError, ValueError):  # whoever scores it will say why
        return frozenset()


def _hold(judges: Judges, everything: Manifest, guarded: Guarded, ask: Ask, told: Told) -> Evaluation:
    """Opinions against people's ratings, and the report where there is a place for it."""
    known = official_test(guarded.manifest, judges.official, judges.official_list)
    for warning in guarded.warnings:
        told(f"warning: {warning}")
    opinions = ask(guarded.manifest)
    joined, rest = join(guarded.manifest, opinions), everything.rows(TRAIN)
    labels, left_out = joined.manifest.labels, {**guarded.left_out, **joined.left_out}
    evaluation = evaluate(
        joined.manifest.names, labels.distributions, joined.predicted,
        Subject(opinions.model, labels.name, judges.split or "", opinions.preprocessing, left_out,
                guarded.warnings, known),
        inferred=labels.inferred, training=everything.only(rest).labels.distributions if len(rest) else None,
        min_spread=judges.min_spread, seed=judges.seed,
    )  # fmt: skip
    if judges.out is not None:
        _write(evaluation, judges.out, [joined.manifest.photograph(row) for row in range(evaluation.n)])
        told(f"the report is '{printable(judges.out / PAGE)}'")
    return evaluation


def _write(evaluation: Evaluation, out: Path, photographs: Sequence[Path]) -> None:
    """Write page and numbers; they replace what is there."""
    _make(out)
    write_page(out / DOCUMENT, as_json(evaluation))
    write_page(out / PAGE, page(report(evaluation, photographs)))

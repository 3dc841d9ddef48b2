"""edge-nima pick: the best of many photographs, near-duplicates collapsed."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.messages import INTERRUPTED, NOT_ALL_SCORED, say
from edge_nima.cli.options import ModelOption, ThreadsOption, warn_of_gate
from edge_nima.cli.progress import progress
from edge_nima.errors import RequestError, printable

if TYPE_CHECKING:
    from edge_nima.pick import Pick

KEEP = 20


class Form(StrEnum):
    """What comes out."""

    table = "table"
    paths = "paths"
    jsonl = "jsonl"


def pick(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Photographs, folders, or patterns in quotes.")],
    keep: Annotated[
        int | None, typer.Option("--keep", min=1, help="The most that are taken. Default: 20, without --per-day.")
    ] = None,
    per_day: Annotated[int | None, typer.Option("--per-day", min=1, help="The most of each day.")] = None,
    min_score: Annotated[
        float | None, typer.Option("--min-score", min=1, max=10, help="Only means of at least this.")
    ] = None,
    copy: Annotated[Path | None, typer.Option("--copy", metavar="DIR", help="Copy them there.")] = None,
    link: Annotated[Path | None, typer.Option("--link", metavar="DIR", help="Put symbolic links there.")] = None,
    form: Annotated[Form, typer.Option("--format", help="What stdout gets; paths: one a line.")] = Form.table,
    alike: Annotated[
        int, typer.Option("--alike", min=-1, max=64, help="Bits of 64 by which near-duplicates differ; -1: none are.")
    ] = 6,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="PATTERN", help="Leave out names, folders or paths, 'drafts', '*_small.*'."),
    ] = None,
    model: ModelOption = None,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Photographs at once. Default: one a core.")] = None,
    threads: ThreadsOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files of the same names in DIR.")] = False,
) -> None:
    """Take the best of photographs, each with the reason; near-duplicates stand under their best one.

    Exit code: 0 done, 3 some could not be scored, 2 usage, 1 copying failed, 130 interrupted.
    """
    from edge_nima.cli.score import share_cores
    from edge_nima.photographs import LeftOut, find_photographs
    from edge_nima.pick import pick as choose
    from edge_nima.pick import without_folder
    from edge_nima.scorer import open_scorer

    folder = copy or link
    if copy is not None and link is not None:
        raise RequestError("--copy and --link: give one of them")
    if folder is not None and folder.exists() and not folder.is_dir():
        raise RequestError(f"'{printable(folder)}' is a file; possible: a folder, which is made when it is not there")
    left_out = LeftOut()
    photographs = find_photographs(paths, exclude=exclude or (), left_out=left_out)
    if folder is not None:
        photographs, inside = without_folder(photographs, folder)
        left_out.kinds.update({f"in {folder.name}": inside} if inside else {})
        if not photographs:
            raise RequestError(f"all photographs are in '{printable(folder)}', where the best are to be put")
    jobs, threads = share_cores(len(photographs), jobs, threads)
    scorer = open_scorer(model, threads)
    warn_of_gate(scorer.card)
    try:
        with progress("scoring", len(photographs)) as step:
            picked = choose(
                photographs, scorer, keep=KEEP if keep is None and per_day is None and min_score is None else keep,
                per_day=per_day, min_score=min_score, alike=alike, jobs=jobs, step=step,
            )  # fmt: skip
    except KeyboardInterrupt:
        say("interrupted; nothing was picked")
        raise typer.Exit(INTERRUPTED) from None
    _show(picked, form)
    if folder is not None and picked.picked:
        _put(picked, folder, link is not None, overwrite)
    for record in picked.failed[:20]:
        say(f"not scored: {record.name}: {record.error}")
    if left_out.told():
        say(left_out.told())
    say(f"{picked.told()}; {scorer.model.label}")
    raise typer.Exit(NOT_ALL_SCORED if picked.failed else 0)


def _put(picked: Pick, folder: Path, link: bool, overwrite: bool) -> None:
    from edge_nima.pick import put

    done = 0

    def step() -> None:
        nonlocal done
        done += 1

    try:
        put(picked.picked, folder, link=link, overwrite=overwrite, step=step)
    except KeyboardInterrupt:
        say(f"interrupted after {done} of {len(picked.picked)}; --overwrite goes on")
        raise typer.Exit(INTERRUPTED) from None
    say(f"{len(picked.picked)} {'linked' if link else 'copied'} to '{printable(folder)}'")


def _show(picked: Pick, form: Form) -> None:
    from edge_nima.cli.sinks import put_out, put_records

    if form == Form.table:
        put_out("".join(f"{printable(one.path)}\n    {one.why}\n" for one in picked.picked))
        return
    lines = []
    for one in picked.picked:
        if form == Form.paths:
            lines.append(f"{one.path}\n")
            continue
        row = {
            "name": one.record.name, "mean": one.record.mean, "rank": one.rank, "alike": list(one.alike),
            "day": None if one.day is None else one.day.isoformat(), "why": one.why,
        }  # fmt: skip
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    put_records("".join(lines))

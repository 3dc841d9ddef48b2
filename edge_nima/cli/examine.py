"""edge-nima examine: is the score of a photograph steady, and does a worse picture score lower?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.messages import INTERRUPTED, say
from edge_nima.cli.options import CardOption, ModelOption, ThreadsOption, refuse_outputs, warn_of_gate
from edge_nima.errors import printable

if TYPE_CHECKING:
    from edge_nima.examine import Examination

NOT_ALL_READ = 3


def examine(
    paths: Annotated[list[str], typer.Argument(metavar="PATH...", help="Photographs, folders, or patterns in quotes.")],
    model: ModelOption = None,
    card: CardOption = None,
    count: Annotated[
        int | None, typer.Option("--count", min=1, help="How many to draw, where there are more. Default: 100.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the draw and of noise.")] = 0,
    json: Annotated[
        Path | None, typer.Option("--json", help="Write every number there, also of each photograph.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write a page with plots and the worst examples there.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", min=1, help="Photographs at once, each decoded in full. Default: 1.")
    ] = 1,
    threads: ThreadsOption = None,
    max_megapixels: Annotated[
        float | None, typer.Option("--max-megapixels", min=0.001, help="Refuse larger pictures. Default: 128.")
    ] = None,
) -> None:
    """Change photographs in many ways and score them again: how steady is the score, and does damage lower it?

    Steadiness: source width, JPEG quality, decoder, small crops, mirror. Damage: misfocus, motion, noise, JPEG,
    contrast, exposure, tilt, upside down.

    Exit code: 0 done, 3 some photographs are not readable, 2 usage, 1 output failed, 130 interrupted: the table is then
    of the photographs that were done, and no file is written.
    """
    from edge_nima.cli.progress import stages
    from edge_nima.cli.sinks import put_out
    from edge_nima.decode import MAX_MEGAPIXELS
    from edge_nima.examine import COUNT
    from edge_nima.examine import examine as examine_photographs
    from edge_nima.photographs import LeftOut, find_photographs
    from edge_nima.reports.examination import report
    from edge_nima.reports.terminal import table
    from edge_nima.scorer import open_scorer

    left_out = LeftOut()
    refuse_outputs(find_photographs(paths, left_out=left_out), {"--json": json, "--html": html}, overwrite)
    if html is not None:
        from edge_nima.reports.pages import need_report

        need_report()
    scorer = open_scorer(model, threads, card=card, max_megapixels=max_megapixels or MAX_MEGAPIXELS)
    warn_of_gate(scorer.card)
    with stages("examining") as show:
        examination = examine_photographs(
            scorer, paths, count=count or COUNT, seed=seed, jobs=jobs,
            step=lambda done, of: show("photographs", done, of, ""),
        )  # fmt: skip
    for name, why in list(examination.failures.items())[:_SHOWN]:
        say(f"not readable: {name}: {why}")
    if len(examination.failures) > _SHOWN:
        say(f"not readable: {len(examination.failures) - _SHOWN} more")
    if left_out.told():
        say(left_out.told())
    put_out(table(report(examination), notes=True))
    if not examination.complete:
        files = "; no file is written" if json or html else ""
        say(f"interrupted after {examination.n} of {examination.drawn} photographs{files}")
        raise typer.Exit(INTERRUPTED)
    _write(examination, json, html)
    raise typer.Exit(NOT_ALL_READ if examination.failures else 0)


_SHOWN = 20


def _write(examination: Examination, json: Path | None, html: Path | None) -> None:
    from edge_nima.reports.examination import as_json, write_report
    from edge_nima.reports.pages import write_page

    if json is not None:
        write_page(json, as_json(examination))
        say(f"the numbers are in '{printable(json)}'")
    if html is not None:
        write_report(html, examination)
        say(f"the page is '{printable(html)}'")

"""edge-nima score: photographs to records, or to a ranked table."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated

import typer

from edge_nima.cli.engine import refuse_options, score_on_engine
from edge_nima.cli.messages import INTERRUPTED, NOT_ALL_SCORED, say
from edge_nima.cli.options import CardOption, ModelOption, ThreadsOption, refuse_outputs, warn_of_gate
from edge_nima.cli.progress import progress
from edge_nima.errors import RequestError, printable
from edge_nima.names import name_of

if TYPE_CHECKING:
    from edge_nima.cli.sinks import Sink
    from edge_nima.percentiles import Percentiles
    from edge_nima.records import FileStamp, ScoreRecord
    from edge_nima.reports.sheet import ContactSheet
    from edge_nima.scorer import Scorer
    from edge_nima.storage import StoredPath


class Format(StrEnum):
    """What comes out."""

    table = "table"
    jsonl = "jsonl"
    csv = "csv"


class Style(StrEnum):
    """Whose sidecars."""

    darktable = "darktable"
    digikam = "digikam"
    immich = "immich"
    photoprism = "photoprism"
    lightroom = "lightroom"


def score(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATH...", help="Photographs, folders, patterns in quotes, URIs, CSV or parquet files."),
    ],
    model: ModelOption = None,
    card: CardOption = None,
    form: Annotated[
        Format | None, typer.Option("--format", help="Default: table, or what the ending of --output means.")
    ] = None,
    output_path: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write there, not to stdout.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUTPUT when it exists.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep what OUTPUT holds of photographs with the same path, size and mtime.")
    ] = False,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Photographs at once. Default: one a core.")] = None,
    threads: ThreadsOption = None,
    top: Annotated[int | None, typer.Option("--top", min=1, help="Only the K best, best first.")] = None,
    min_score: Annotated[
        float | None, typer.Option("--min-score", min=1, max=10, help="Only means of at least this.")
    ] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a contact sheet: a page, best first.")
    ] = None,
    against: Annotated[
        str | None,
        typer.Option("--against", metavar="FILE", help="Place each among these records, or among 'ava'."),
    ] = None,
    xmp: Annotated[
        bool, typer.Option("--xmp", help="Write ratings and scores into sidecars, for photo managers.")
    ] = False,
    xmp_style: Annotated[
        Style | None,
        typer.Option("--xmp-style", help="Whose: photo.jpg.xmp, or photo.xmp (lightroom). Default: darktable."),
    ] = None,
    xmp_stars: Annotated[
        str | None,
        typer.Option("--xmp-stars", help="Percentiles of 2 to 5 stars. Default: 50,80,95,99. Or means:4.5,5,5.5,6."),
    ] = None,
    xmp_replace: Annotated[
        bool, typer.Option("--xmp-replace", help="Also where somebody has set a rating: it is lost.")
    ] = False,
    max_megapixels: Annotated[
        float | None, typer.Option("--max-megapixels", min=0.001, help="Refuse larger pictures. Default: 128.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option("--exclude", metavar="PATTERN", help="Leave out names, folders or paths, 'drafts', '*_small.*'."),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Decode large JPEGs in full, not at a DCT scale: slower by half.")
    ] = False,
    column: Annotated[
        str | None, typer.Option("--column", help="Of CSV and parquet files: which one holds paths, URIs or pictures.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="Score on a cluster: ray. --output is a folder or a URI for parquet.")
    ] = None,
    address: Annotated[
        str | None, typer.Option("--address", help="Of the engine: HOST:6379, ray://HOST:10001. Default: this machine.")
    ] = None,
) -> None:
    """Score photographs, best first.

    Exit code: 0 all scored, 3 some not (their records say why), 2 usage, 1 output failed, 130 interrupted.
    """
    from edge_nima.decode import MAX_MEGAPIXELS
    from edge_nima.listing import find_all, needs_listing
    from edge_nima.photographs import LeftOut
    from edge_nima.scorer import open_scorer

    started = perf_counter()
    for option, value in (("--min-score", min_score), ("--max-megapixels", max_megapixels)):
        if value is not None and math.isnan(value):
            raise RequestError(f"{option} is {value}; possible: a number")
    if engine is not None:
        refuse_options(
            "--engine writes a folder of parquet files",
            {"--format": form, "--top": top, "--min-score": min_score, "--html": html, "--against": against,
             "--xmp": xmp},
        )  # fmt: skip
        code = score_on_engine(
            engine, paths, output_path, model=model, card=card, column=column, exclude=exclude or (), threads=threads,
            jobs=jobs, address=address, max_megapixels=max_megapixels, exact=exact, resume=resume, overwrite=overwrite,
        )  # fmt: skip
        raise typer.Exit(code)
    output = _local_output(output_path, address)
    if needs_listing(paths):
        refuse_options("the photographs are no local files", {"--html": html, "--xmp": xmp})
    kind = _format_of(form, output)
    refuse_loss(kind, output, overwrite, resume, bool(top or min_score))
    if not xmp and (xmp_style or xmp_stars or xmp_replace):
        raise RequestError("--xmp-style, --xmp-stars and --xmp-replace go with --xmp")
    if xmp:
        from edge_nima.sidecars import parse_stars

        parse_stars(xmp_stars)
    others = None
    if against is not None:
        from edge_nima.percentiles import read_percentiles

        others = read_percentiles(against)
    left_out = LeftOut()
    photographs = find_all(paths, column=column, exclude=exclude or (), left_out=left_out)
    read = [path for path in photographs if isinstance(path, Path)]
    read += map(Path, [*paths, *([] if against is None else [against])])
    refuse_outputs(read, {"--output": output, "--html": html}, overwrite=True)
    jobs, threads = share_cores(len(photographs), jobs, threads)
    scorer = open_scorer(model, threads, card=card, max_megapixels=max_megapixels or MAX_MEGAPIXELS, exact=exact)
    warn_of_gate(scorer.card)
    run = _Run(scorer, jobs, kind, output, resume, top, min_score, html, overwrite, others)
    records, held, complete = run.score(photographs)
    unwritten = 0
    if xmp and complete:  # else the percentiles would be of a part
        unwritten = _sidecars(_by_path([*held, *records]), others, xmp_stars, xmp_style, xmp_replace)
    elif xmp:
        say("no sidecars are written: the stars are of all photographs")
    if left_out.told():
        say(left_out.told())
    if not complete:
        raise typer.Exit(INTERRUPTED)
    seconds = perf_counter() - started
    kept = f", {len(held)} kept from before" if held else ""
    scored = f"{len(records)} photograph{'' if len(records) == 1 else 's'}"
    say(f"{scored} in {seconds:.1f} s{kept}; {scorer.model.label}, {jobs} x {threads} threads")
    failed = any(record.error is not None for record in records)
    raise typer.Exit(1 if unwritten else NOT_ALL_SCORED if failed else 0)


@dataclass(frozen=True)
class _Run:
    """A run on this machine: what scores, where to, and what of it is shown."""

    scorer: Scorer
    jobs: int
    kind: Format
    output: Path | None
    resume: bool
    top: int | None
    min_score: float | None
    html: Path | None
    overwrite: bool
    others: Percentiles | None

    def score(self, photographs: Sequence[Path | StoredPath]) -> tuple[list[ScoreRecord], list[ScoreRecord], bool]:
        """Score, and say what was not: the new records, those kept from before, and whether the run came to its end."""
        from edge_nima.cli.sinks import open_sink
        from edge_nima.records import held_records, still_to_do

        label = self.scorer.model.label
        before = held_records(self.output, self.kind, label) if self.resume and self.output else []
        names = [name_of(path) for path in photographs]
        todo, before = still_to_do(photographs, names, before)
        held = [record for record, _ in before]
        with contextlib.ExitStack() as pages:
            sheet = None if self.html is None else pages.enter_context(_sheet(self.html, len(names), self.overwrite))
            sink = open_sink(self.kind, self.output, before, names, self.top, self.others)

            def score_all(pictures: Iterable[Path | StoredPath]) -> Generator[ScoreRecord, None, None]:
                return self.scorer.score_batch(pictures, self.jobs, None if sheet is None else sheet.look)

            records = score_into(sink, score_all, todo, self.min_score)
            if sheet is not None:
                sheet.write(_selected(_by_path([*held, *records]), self.top, self.min_score), against=self.others)
                say(f"the contact sheet is '{printable(sheet.path)}'{'' if sink.complete else ', of what was scored'}")
        resumable = not (self.kind == Format.table or self.top or self.min_score)
        report_run(sink, self.kind, records, len(todo), len(held), resumable=resumable)
        return records, held, sink.complete


def _by_path(records: Iterable[ScoreRecord]) -> list[tuple[Path, ScoreRecord]]:
    """Of local photographs: their names are their paths."""
    return [(Path(record.name), record) for record in records]


def _local_output(path: str | None, address: str | None) -> Path | None:
    from edge_nima.storage import is_uri

    if address is not None:
        raise RequestError("--address goes with --engine")
    if path is not None and is_uri(path):
        raise RequestError(f"'{printable(path)}': an --output in a store goes with --engine")
    return None if path is None else Path(path)


def _sidecars(
    scored: list[tuple[Path, ScoreRecord]], among: Percentiles | None, stars: str | None, style: Style | None,
    replace: bool,
) -> int:  # fmt: skip
    """Write sidecars and say so; how many photographs have none for it."""
    from edge_nima.percentiles import percentiles_of
    from edge_nima.sidecars import stars_for, write_sidecars

    means = [record.mean for _, record in scored if record.mean is not None]
    among = among or percentiles_of(
        means, "this photograph" if len(means) == 1 else f"these {len(means):,} photographs"
    )
    if among is None:
        return 0
    written = write_sidecars(scored, stars_for(stars, among), style=style or Style.darktable, replace=replace)
    for name, why in list(written.failed.items())[:20]:
        say(f"no sidecar for {name}: {why}")
    if len(written.failed) > 20:
        say(f"no sidecar for {len(written.failed) - 20} more")
    say(written.told())
    return len(written.failed)


def _sheet(path: Path, total: int, overwrite: bool) -> ContactSheet:
    from edge_nima.reports.sheet import ContactSheet

    return ContactSheet(path, total, overwrite=overwrite)


def _selected(
    scored: list[tuple[Path, ScoreRecord]], top: int | None, min_score: float | None
) -> list[tuple[Path, ScoreRecord]]:
    """What --top and --min-score leave, and what could not be scored."""
    done = [one for one in scored if one[1].mean is not None and one[1].mean >= (min_score or 0)]
    done.sort(key=lambda one: (-(one[1].mean or 0), one[1].name))
    return done[:top] + [one for one in scored if one[1].mean is None]


def score_into(
    sink: Sink,
    score_all: Callable[[Iterable[Path | StoredPath]], Generator[ScoreRecord, None, None]],
    todo: Sequence[tuple[Path | StoredPath, FileStamp]],
    min_score: float | None = None,
) -> list[ScoreRecord]:
    """Score until done or interrupted; the records that there are.

    Args:
        sink: takes the records.
        score_all: photographs to their records, in order.
        todo: photographs with their stamps.
        min_score: means below this are not passed on.
    """
    done = []
    with sink:
        try:
            with (
                progress("scoring", len(todo)) as advance,
                contextlib.closing(score_all(path for path, _ in todo)) as records,
            ):
                for (_, stamp), record in zip(todo, records, strict=True):
                    if record.mean is None or min_score is None or record.mean >= min_score:
                        sink.write(record, stamp)
                    done.append(record)
                    advance()
        except KeyboardInterrupt:
            sink.complete = False
    return done


def _format_of(form: Format | None, output: Path | None) -> Format:
    from edge_nima.records import form_of

    if form is not None:
        return form
    return Format.table if output is None else Format(form_of(output))


def refuse_loss(kind: Format, output: Path | None, overwrite: bool, resume: bool, selects: bool) -> None:
    """Refuse what cannot be, before any work: options that do not fit, and output that would be lost."""
    from edge_nima.records import partial_path

    if resume and overwrite:
        raise RequestError("--resume keeps what is there and --overwrite replaces it; give one of them")
    if resume and (output is None or kind == Format.table):
        raise RequestError("--resume goes on with a file: give --output NAME.jsonl or NAME.csv too")
    if resume and selects:
        raise RequestError("--resume needs the file whole: leave out --top and --min-score")
    if output is None or resume or overwrite:
        return
    whole = kind != Format.table and not selects
    if output.is_file():
        goes_on = ", --resume goes on with it" if whole else ""
        raise RequestError(f"'{printable(output)}' exists: --overwrite replaces it{goes_on}")
    if whole and partial_path(output).is_file():
        raise RequestError(
            f"an interrupted run left '{printable(partial_path(output))}': --resume goes on with it, "
            "--overwrite starts again"
        )


def share_cores(photographs: int, jobs: int | None, threads: int | None) -> tuple[int, int]:
    """Cores go to photographs at once first, each with one thread: decoding then runs beside inference."""
    from edge_nima.scorer import available_cores, default_threads

    cores = available_cores()
    if jobs is None:
        jobs = max(1, cores // (threads or 1))
    jobs = max(1, min(jobs, photographs))
    if threads is None:
        threads = default_threads() if jobs == 1 else max(1, min(4, cores // jobs))
    return jobs, threads


def report_run(
    sink: Sink, kind: Format, records: list[ScoreRecord], planned: int, held: int, *, resumable: bool
) -> None:
    """Say what was not scored, and how an interrupted run goes on."""
    failures = [record for record in records if record.error is not None]
    if failures and kind == Format.table:
        shown = failures[:20]
        for record in shown:
            say(f"not scored: {record.name}: {record.error}")
        if len(failures) > len(shown):
            say(f"not scored: {len(failures) - len(shown)} more (--format jsonl lists all)")
    elif failures:
        say(f"{len(failures)} not scored; their records say why")
    if not sink.complete:
        where = f"; they are in '{printable(sink.left_at)}'" if sink.left_at else ""
        where += ", --resume goes on" if sink.left_at and resumable else ""
        kept = f", {held} kept from before" if held else ""
        say(f"interrupted after {len(records)} of {planned} photographs{kept}{where}")

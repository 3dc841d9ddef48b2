"""An exploration as a report, and the JSON of its numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edge_nima.agreement import is_good
from edge_nima.distribution import RATINGS
from edge_nima.errors import OutputError, PictureError, RequestError, printable, reason
from edge_nima.label_text import TEN
from edge_nima.reports import plots
from edge_nima.reports.model import (
    Card,
    Cards,
    Cell,
    Draw,
    Listing,
    Plot,
    Report,
    Section,
    Table,
    cells,
    columns,
    number,
)
from edge_nima.reports.pages import need_report, page, write_page
from edge_nima.reports.thumbnails import thumbnail
from edge_nima_train.explore import Description, Exploration, Group, Histogram

FORMAT = "edge-nima exploration"
FORMAT_VERSION = 1
PAGE, NUMBERS = "index.html", "statistics.json"
SHOWN = 30
"""Challenges and tags on the page; the JSON has all."""
_HOW = (
    "sd is the sample standard deviation (divided by n - 1); quartiles interpolate linearly between order statistics "
    "(type 7 of Hyndman and Fan 1996, as NumPy and pandas have it)."
)


def as_document(exploration: Exploration) -> dict[str, Any]:
    """An exploration as what JSON holds."""
    e = exploration
    names = e.manifest.names
    means = e.manifest.labels.means

    def optional(value: Any) -> Any:
        return None if value is None else asdict(value)

    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "manifest": {"name": e.manifest.labels.name, "sha256": e.manifest.labels.sha256},
        "n": len(e.manifest),
        "votes": e.votes,
        "scale": {"of_source": e.scale, "here": str(TEN)},
        "definitions": _HOW,
        "number_of_ratings": optional(e.number_of_ratings),
        "mean_rating": asdict(e.mean_rating),
        "rating_std": optional(e.rating_std),
        "box_of_means": asdict(e.box),
        "histograms": {
            "number_of_ratings": optional(e.numbers), "mean_rating": asdict(e.means), "rating_std": optional(e.stds)
        },
        "share_of_ratings": None if e.all_ratings is None else list(e.all_ratings),
        "bins": [asdict(one) for one in e.bins],
        "splits": e.splits,
        "challenges": [asdict(group) for group in e.challenges],
        "tags": [asdict(group) for group in e.tags],
        "untagged": e.untagged if e.tags else None,
        "properties": {name: asdict(one) for name, one in e.properties.items()},
        "sheets": {
            "seed": e.seed,
            **{
                sheet: [{"name": names[row], "mean": float(means[row])} for row in rows]
                for sheet, rows in (("sample", e.sample), ("best", e.best), ("worst", e.worst))
            },
        },
    }  # fmt: skip


def refuse_folder(folder: Path, overwrite: bool) -> None:
    """Refuse to replace an earlier page unless asked.

    Raises:
        RequestError: it is there, or `folder` cannot be one.
        PackageMissing: Jinja2 or matplotlib is not installed.
    """
    need_report()
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"--out '{printable(folder)}' is a file; possible: a folder")
    for name in (PAGE, NUMBERS):
        if (folder / name).exists() and not overwrite:
            raise RequestError(f"'{printable(folder / name)}' exists: --overwrite replaces it")


def write_exploration(exploration: Exploration, folder: Path, step: Callable[[], None] = lambda: None) -> int:
    """Write FOLDER/index.html and FOLDER/statistics.json, each whole.

    Args:
        exploration: what they show.
        folder: made when it is not there.
        step: called after each photograph of the three sheets.

    Returns:
        How many of the sheets' photographs are on the page.

    Raises:
        OutputError: they cannot be written.
    """
    made, shown = report(exploration, step)
    content = page(made)
    numbers = json.dumps(as_document(exploration), indent=1, allow_nan=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write to '{printable(folder)}': {reason(error)}") from error
    write_page(folder / NUMBERS, numbers)
    write_page(folder / PAGE, content)
    return shown


def report(e: Exploration, step: Callable[[], None] = lambda: None) -> tuple[Report, int]:
    """The report, and how many photographs it shows; `step` is called after each that it tries to."""
    sheets, shown = _sheets(e, step)
    untagged = f" {e.untagged:,} photographs have none; one may have two."
    title = f"What is in {e.manifest.labels.name}"
    sections = (
        _statistics(e), _bins(e), *_groups("Challenges", e.challenges, ""), *_groups("Tags", e.tags, untagged), *sheets,
    )  # fmt: skip
    foot = (
        "Mean ratings lie in 1 to 10. The rating std is that of one photograph's ratings around their mean; “± ” on "
        "the contact sheets is the same."
    )
    made = Report(title, tuple(_head(e)), tuple(_notes(e)), tuple(_tiles(e)), tuple(_plots(e)), sections, foot)
    return made, shown


def _head(e: Exploration) -> Iterable[tuple[str, str]]:
    yield "labels", f"{e.manifest.labels.name}, SHA-256 {e.manifest.labels.sha256[:16]}…"
    yield "photographs", f"n = {len(e.manifest):,}, in {e.manifest.images}"
    yield "scale", scale_told(e)
    if set(e.splits) != {""}:
        yield "splits", ", ".join(f"{split or 'none'} {n:,}" for split, n in e.splits.items())


def scale_told(e: Exploration) -> str:
    """On which scale ratings are, and were."""
    return str(TEN) if e.scale == str(TEN) else f"{TEN}, brought to it from {printable(e.scale)}"


def _notes(e: Exploration) -> Iterable[str]:
    if e.votes == "none":
        yield (
            "Only mean ratings are known here: the number of ratings, their standard deviation and their histogram are "
            "not, and are left out. Training on these labels uses the maximum-entropy histogram of each mean."
        )
    if e.votes == "proportions":
        yield "The histograms are proportions, not counts: the number of ratings is not known, and left out."


def _tiles(e: Exploration) -> Iterable[tuple[str, str, str]]:
    yield "photographs", f"{len(e.manifest):,}", ""
    for label, one, digits in (
        ("mean rating", e.mean_rating, 3), ("ratings each", e.number_of_ratings, 1), ("rating std", e.rating_std, 3)
    ):  # fmt: skip
        if one is not None:
            yield label, f"{one.mean:.{digits}f}", f"sd {number(one.sd, '.3f')}"
    yield "rated 5 or more", f"{100 * float(is_good(e.manifest.labels.means).mean()):.1f} %", "of photographs"


def _statistics(e: Exploration) -> Section:
    described = [
        ("number of ratings", e.number_of_ratings), ("mean rating", e.mean_rating), ("rating std", e.rating_std),
        *((f"file: {name}", one) for name, one in e.properties.items()),
    ]  # fmt: skip
    rows = tuple((Cell(name), *_cells(one)) for name, one in described if one is not None)
    headings = columns("of one photograph", "n", "mean", "sd", "min", "Q1", "median", "Q3", "max")
    return Section("Descriptive statistics", _HOW, (Table(headings, rows),))


def _cells(d: Description) -> tuple[Cell, ...]:
    # Of whole numbers the extremes are whole too, and three more digits would claim to know more.
    whole = all(value.is_integer() for value in (d.min, d.max)) and d.max >= 10
    extremes = ",.0f" if whole else ",.3f"
    middle = ",.0f" if d.max >= 10_000 else ",.2f" if whole else ",.3f"
    values = [(d.mean, middle), (d.sd, middle), (d.min, extremes)]
    values += [(d.q1, middle), (d.median, middle), (d.q3, middle), (d.max, extremes)]
    return cells(f"{d.n:,}", *(number(value, form) for value, form in values))


def _plots(e: Exploration) -> Iterable[Plot]:
    n, box = f"n = {len(e.manifest):,}", e.box
    yield Plot("Mean ratings", f"{n}, bins of 0.1", _draw_histogram("mean rating", e.means, e.mean_rating))
    if e.number_of_ratings is not None and e.numbers is not None:
        draw = _draw_histogram("ratings of one photograph", e.numbers, e.number_of_ratings)
        yield Plot("Number of ratings", f"{n}, bins of {e.numbers.edges[1] - e.numbers.edges[0]:g}", draw)
    if e.rating_std is not None and e.stds is not None:
        draw = _draw_histogram("standard deviation of the ratings", e.stds, e.rating_std)
        yield Plot("Spread of the ratings", f"{n}, bins of 0.05", draw)
        yield Plot("Spread over mean", "one dot a photograph", _draw_spread(e))
        yield Plot("All ratings", "every photograph counts the same", _draw_ratings(e))
    outside = f"{box.below:,} photographs lie below the whiskers, {box.above:,} above; the diamond is the mean"
    yield Plot("Box plot of the mean ratings", outside, _draw_box(e), 1.7)


def _bins(e: Exploration) -> Section:
    std = ("mean rating std",) if e.rating_std is not None else ()
    rows = tuple(
        cells(
            f"{one.low:.1f} to {one.high:.1f}", f"{one.n:,}", f"{100 * one.share:.2f} %",
            *(number(one.mean_std, ".3f") for _ in std),
        )
        for one in e.bins
    )  # fmt: skip
    told = "Tenths of 1 to 10, by which edge-nima data balance balances; a bin holds its lower edge."
    return Section("Rating bins", told, (Table(columns("mean rating", "n", "share", *std), rows),))


def _groups(title: str, found: Sequence[Group], told: str) -> Iterable[Section]:
    if not found:
        return
    shown = found[:SHOWN]
    more = f" The {SHOWN} largest of them; {len(found) - SHOWN:,} more are in {NUMBERS}." if len(found) > SHOWN else ""
    what = "photographs · mean of their mean ratings"
    plot = Plot(title, what, _draw_groups(shown), 0.8 + 0.19 * len(shown), tall=True)
    yield Section(title, f"{len(found):,} of them.{more}{told}", (plot,))


def _sheets(e: Exploration, step: Callable[[], None]) -> tuple[list[Section], int]:
    """The three contact sheets, and how many photographs are on them."""
    made, shown, lost = [], 0, []
    for title, rows, told in (
        ("Best rated", e.best, "highest mean first"),
        ("Worst rated", e.worst, "lowest mean first"),
        ("Sample", e.sample, f"drawn at random, seed {e.seed}"),
    ):
        found = []
        for row in rows:
            path = e.manifest.photograph(row)
            spread = f"± {e.std_of_each[row]:.2f}" if e.std_of_each is not None else ""
            mean = f"{e.manifest.labels.means[row]:.2f}"
            try:
                found.append(Card(e.manifest.names[row], (thumbnail(path),), mean, spread))
            except PictureError as error:
                lost.append(f"{path.name}: {reason(error)}")
            step()
        shown += len(found)
        gone = f"; {len(rows) - len(found)} of {len(rows)} cannot be shown" if len(found) < len(rows) else ""
        if found:
            made.append(Section(title, f"{len(found)} photographs, {told}{gone}.", (Cards(tuple(found), "sheet"),)))
    if not shown:
        told = (
            f"None of those that the contact sheets would show is in {e.manifest.images}: "
            "edge-nima data explore … --images DIR says where they are."
        )
        return [Section("Photographs", told)], 0
    if lost:
        made.append(Section("Not shown", "", (Listing(f"{len(lost)} photographs not shown", tuple(lost)),)))
    return made, shown


def _draw_histogram(unit: str, values: Histogram, described: Description) -> Draw:
    """One distribution with its mean and median; empty bins at both ends are left out."""
    edges, counts = np.array(values.edges), np.array(values.counts)
    filled = np.flatnonzero(counts)
    first, last = filled[0], filled[-1] + 1

    def draw(axes: Any) -> None:
        axes.stairs(counts[first:last], edges[first : last + 1], fill=True, color=plots.REFERENCE, alpha=0.75)
        axes.axvline(described.mean, color=plots.CANDIDATE, linewidth=1.6, label=f"mean {described.mean:,.2f}")
        axes.axvline(
            described.median,
            color=plots.INK,
            linewidth=1.0,
            linestyle=(0, (2, 2)),
            label=f"median {described.median:,.2f}",
        )
        axes.grid(False, axis="x")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel=unit, ylabel="photographs")
        plots.legend(axes)

    return draw


def _draw_box(exploration: Exploration) -> Draw:
    """The box plot of the mean ratings; values beyond the whiskers are ticks."""
    d, box = exploration.mean_rating, exploration.box
    means = exploration.manifest.labels.means
    beyond = means[(means < box.low) | (means > box.high)]

    def draw(axes: Any) -> None:
        stats = {"whislo": box.low, "q1": d.q1, "med": d.median, "q3": d.q3, "whishi": box.high, "fliers": []}
        line = {"color": plots.INK, "linewidth": 1.2}
        axes.bxp(
            [stats], orientation="horizontal", widths=0.5, patch_artist=True, showfliers=False,
            boxprops={"facecolor": plots.REFERENCE, "alpha": 0.6, "edgecolor": plots.INK},
            medianprops=line | {"linewidth": 2}, whiskerprops=line, capprops=line,
        )  # fmt: skip
        # Thinned where there are thousands: ticks of one pixel would lie on each other.
        shown = np.unique(beyond.round(2))
        axes.plot(shown, np.ones(len(shown)), "|", color=plots.CANDIDATE, markersize=9, markeredgewidth=0.8)
        axes.plot([d.mean], [1], "D", color=plots.CANDIDATE, markersize=5)
        axes.grid(False, axis="y")
        axes.set(xlabel="mean rating", yticks=[], xlim=(0.9, 10.1), xticks=range(1, 11))

    return draw


def _draw_ratings(exploration: Exploration) -> Draw:
    shares = np.array(exploration.all_ratings)

    def draw(axes: Any) -> None:
        axes.bar(RATINGS, 100 * shares, 0.82, color=plots.REFERENCE, alpha=0.75)
        axes.grid(False, axis="x")
        axes.set(xlabel="rating", ylabel="% of ratings", xticks=range(1, 11))

    return draw


def _draw_spread(exploration: Exploration) -> Draw:
    means, stds = exploration.manifest.labels.means, exploration.std_of_each
    bins = [one for one in exploration.bins if one.mean_std is not None]

    def draw(axes: Any) -> None:
        picture = len(means) > plots.MANY
        colour = plots.PICTURE_COLOURS[plots.REFERENCE] if picture else plots.REFERENCE
        size, alpha = (2.0, 0.15) if picture else (7.0, 0.4)
        axes.scatter(means, stds, s=size, color=colour, alpha=alpha, linewidths=0, rasterized=picture)
        axes.plot(
            [(one.low + one.high) / 2 for one in bins], [one.mean_std for one in bins], "o-", color=plots.CANDIDATE,
            markersize=4, linewidth=1.6, label="mean in each tenth of 1 to 10",
        )  # fmt: skip
        axes.set(xlabel="mean rating", ylabel="standard deviation of the ratings")
        plots.legend(axes)

    return draw


def _draw_groups(shown: Sequence[Group]) -> Draw:
    def draw(axes: Any) -> None:
        places = np.arange(len(shown))
        axes.barh(places, [group.n for group in shown], 0.72, color=plots.REFERENCE, alpha=0.6)
        told = (f"{group.n:,} · {group.mean:.2f}" for group in shown)
        plots.annotate(axes, zip([group.n for group in shown], places, told, strict=True), right=True)
        plots.rows(axes, [group.name for group in shown])
        axes.margins(x=0.22)
        axes.grid(True, axis="x", color=plots.LINE)
        axes.set(xlabel="photographs · mean rating")

    return draw

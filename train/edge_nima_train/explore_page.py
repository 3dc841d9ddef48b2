"""The exploratory page and the JSON of its numbers."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edge_nima import __version__
from edge_nima.agreement import is_good
from edge_nima.errors import OutputError, PictureError, RequestError, printable, reason
from edge_nima.label_text import TEN
from edge_nima.records import write_whole
from edge_nima.report.parts import cell, document, figure, listing, table, text, tile, write_document
from edge_nima.report.plots import need_matplotlib
from edge_nima.report.rows import number
from edge_nima.report.thumbnails import thumbnail
from edge_nima_train import explore_plots as plots
from edge_nima_train.explore import Description, Exploration, Group

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
        PackageMissing: matplotlib is not installed.
    """
    need_matplotlib()
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
    content, shown = page(exploration, step)
    numbers = json.dumps(as_document(exploration), indent=1, allow_nan=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(folder / NUMBERS, numbers.encode())
    except OSError as error:
        raise OutputError(f"cannot write to '{printable(folder)}': {reason(error)}") from error
    write_document(folder / PAGE, content)
    return shown


def page(exploration: Exploration, step: Callable[[], None] = lambda: None) -> tuple[str, int]:
    """The page, and how many photographs it shows."""
    e = exploration
    title = f"What is in {e.manifest.labels.name}"
    sheets, shown = _sheets(e, step)
    sections = [
        _head(e, title), _notes(e), _tiles(e), _statistics(e), _plots(e), _bins(e),
        _groups("Challenges", e.challenges, ""),
        _groups("Tags", e.tags, f" {e.untagged:,} photographs have none; one may have two."),
        sheets, _foot(),
    ]  # fmt: skip
    return document(title, sections), shown


def _head(e: Exploration, title: str) -> str:
    rows = [("labels", f"{text(e.manifest.labels.name)}, SHA-256 {e.manifest.labels.sha256[:16]}…")]
    rows.append(("photographs", f"n = {len(e.manifest):,}, in {text(e.manifest.images)}"))
    rows.append(("scale", text(scale_told(e))))
    if set(e.splits) != {""}:
        rows.append(("splits", ", ".join(f"{text(split or 'none')} {n:,}" for split, n in e.splits.items())))
    return f'<h1>{text(title)}</h1>\n<dl class="sides">{"".join(f"<dt>{a}</dt><dd>{b}</dd>" for a, b in rows)}</dl>'


def scale_told(e: Exploration) -> str:
    """On which scale ratings are, and were."""
    return str(TEN) if e.scale == str(TEN) else f"{TEN}, brought to it from {printable(e.scale)}"


def _notes(e: Exploration) -> str:
    told = []
    if e.votes == "none":
        told.append(
            "Only mean ratings are known here: the number of ratings, their standard deviation and their histogram are "
            "not, and are left out. Training on these labels uses the maximum-entropy histogram of each mean."
        )
    if e.votes == "proportions":
        told.append("The histograms are proportions, not counts: the number of ratings is not known, and left out.")
    return f'<ul class="warnings">{"".join(f"<li>{line}</li>" for line in told)}</ul>' if told else ""


def _tiles(e: Exploration) -> str:
    made = [
        tile("photographs", f"{len(e.manifest):,}", ""),
        tile("mean rating", f"{e.mean_rating.mean:.3f}", f"sd {number(e.mean_rating.sd, '.3f')}"),
    ]
    if e.number_of_ratings is not None:
        made.append(
            tile("ratings each", f"{e.number_of_ratings.mean:.1f}", f"sd {number(e.number_of_ratings.sd, '.2f')}")
        )
    if e.rating_std is not None:
        made.append(tile("rating std", f"{e.rating_std.mean:.3f}", f"sd {number(e.rating_std.sd, '.3f')}"))
    above = float(is_good(e.manifest.labels.means).mean())
    made.append(tile("rated 5 or more", f"{100 * above:.1f} %", "of photographs"))
    return f'<div class="tiles">{"".join(made)}</div>'


def _statistics(e: Exploration) -> str:
    described = [
        ("number of ratings", e.number_of_ratings), ("mean rating", e.mean_rating), ("rating std", e.rating_std),
        *((f"file: {name}", one) for name, one in e.properties.items()),
    ]  # fmt: skip
    rows = [[text(name), *_cells(one)] for name, one in described if one is not None]
    headings = ["of one photograph", "n", "mean", "sd", "min", "Q1", "median", "Q3", "max"]
    return f'<h2>Descriptive statistics</h2><p class="told">{text(_HOW)}</p>{table(headings, rows, "tight")}'


def _cells(d: Description) -> list[str]:
    # Of whole numbers the extremes are whole too, and three more digits would claim to know more.
    whole = all(value.is_integer() for value in (d.min, d.max)) and d.max >= 10
    extremes = ",.0f" if whole else ",.3f"
    middle = ",.0f" if d.max >= 10_000 else ",.2f" if whole else ",.3f"
    values = [(d.mean, middle), (d.sd, middle), (d.min, extremes)]
    values += [(d.q1, middle), (d.median, middle), (d.q3, middle), (d.max, extremes)]
    return [cell(f"{d.n:,}"), *(cell(number(value, form)) for value, form in values)]


def _plots(e: Exploration) -> str:
    n, box = f"n = {len(e.manifest):,}", e.box
    figures = [
        figure(
            "Mean ratings", f"{n}, bins of 0.1",
            plots.histogram("means", "Histogram of the mean ratings", "mean rating", e.means, e.mean_rating),
        ),
    ]  # fmt: skip
    if e.number_of_ratings is not None and e.numbers is not None:
        what, unit = "Histogram of the number of ratings", "ratings of one photograph"
        width = f"bins of {e.numbers.edges[1] - e.numbers.edges[0]:g}"
        svg = plots.histogram("numbers", what, unit, e.numbers, e.number_of_ratings)
        figures.append(figure("Number of ratings", f"{n}, {width}", svg))
    if e.rating_std is not None and e.stds is not None:
        what, unit = "Histogram of the standard deviation of the ratings", "standard deviation of the ratings"
        svg = plots.histogram("stds", what, unit, e.stds, e.rating_std)
        figures.append(figure("Spread of the ratings", f"{n}, bins of 0.05", svg))
        figures.append(figure("Spread over mean", "one dot a photograph", plots.std_over_mean(e)))
        figures.append(figure("All ratings", "every photograph counts the same", plots.ratings(e)))
    outside = f"{box.below:,} photographs lie below the whiskers, {box.above:,} above; the diamond is the mean"
    figures.append(figure("Box plot of the mean ratings", outside, plots.box_of_means(e)))
    return f'<h2>Distributions</h2><div class="plots">{"".join(figures)}</div>'


def _bins(e: Exploration) -> str:
    rows = []
    for one in e.bins:
        cells = [f"{one.low:.1f} to {one.high:.1f}", cell(f"{one.n:,}"), cell(f"{100 * one.share:.2f} %")]
        rows.append(cells + ([cell(number(one.mean_std, ".3f"))] if e.rating_std is not None else []))
    headings = ["mean rating", "n", "share", *(["mean rating std"] if e.rating_std is not None else [])]
    return (
        '<h2>Rating bins</h2><p class="told">Tenths of 1 to 10, by which <code>edge-nima data balance</code> balances; '
        f"a bin holds its lower edge.</p>{table(headings, rows)}"
    )


def _groups(title: str, found: Sequence[Group], told: str) -> str:
    if not found:
        return ""
    shown = found[:SHOWN]
    more = f" The {SHOWN} largest of them; {len(found) - SHOWN:,} more are in {NUMBERS}." if len(found) > SHOWN else ""
    svg = plots.groups(title.lower(), f"Photographs and mean rating of {title.lower()}", shown)
    chart = figure(title, "photographs · mean of their mean ratings", svg, "tall")
    return f'<h2>{title}</h2><p class="told">{len(found):,} of them.{more}{told}</p>{chart}'


def _sheets(e: Exploration, step: Callable[[], None]) -> tuple[str, int]:
    """The three contact sheets, and how many photographs are on them."""
    made, shown, lost = [], 0, []
    for title, rows, told in (
        ("Best rated", e.best, "highest mean first"),
        ("Worst rated", e.worst, "lowest mean first"),
        ("Sample", e.sample, f"drawn at random, seed {e.seed}"),
    ):
        cards = []
        for row in rows:
            path = e.manifest.photograph(row)
            name = path.name
            try:
                cards.append(_card(e, row, thumbnail(path)))
            except PictureError as error:
                lost.append(f"{name}: {reason(error)}")
            step()
        shown += len(cards)
        gone = f"; {len(rows) - len(cards)} of {len(rows)} cannot be shown" if len(cards) < len(rows) else ""
        if cards:
            made.append(
                f'<h2>{title}</h2><p class="told">{len(cards)} photographs, {told}{gone}.</p>'
                f'<div class="photographs sheet">{"".join(cards)}</div>'
            )
    if not shown:
        return (
            '<h2>Photographs</h2><p class="told">None of those that the contact sheets would show is in '
            f"{text(e.manifest.images)}: <code>edge-nima data explore … --images DIR</code> says where they are.</p>", 0
        )  # fmt: skip
    return "".join(made) + (listing(f"{len(lost)} photographs not shown", lost) if lost else ""), shown


def _card(e: Exploration, row: int, picture: str) -> str:
    mean = e.manifest.labels.means[row]
    spread = f" ± {e.std_of_each[row]:.2f}" if e.std_of_each is not None else ""
    return (
        f'<div class="card"><div class="picture"><img src="{picture}" alt=""></div><div class="body">'
        f'<div class="means"><b>{mean:.2f}</b>{spread}</div><div class="name">{text(e.manifest.names[row])}</div>'
        "</div></div>"
    )


def _foot() -> str:
    return (
        f"<footer>edge_nima {text(__version__)}. Mean ratings lie in 1 to 10. The rating std is that of one "
        "photograph's ratings around their mean; “± ” on the contact sheets is the same.</footer>"
    )

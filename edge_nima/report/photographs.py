"""The ten worst photographs of a report, each with both histograms."""

from __future__ import annotations

from pathlib import Path

from edge_nima.comparison import Comparison
from edge_nima.distribution import BINS, Floats, mean_rating
from edge_nima.errors import PictureError
from edge_nima.report.parts import text
from edge_nima.report.rows import number
from edge_nima.report.thumbnails import thumbnails

_WIDE, _TALL, _FOOT = 200.0, 64.0, 11.0


def worst_section(comparison: Comparison, folder: Path | None) -> str:
    """The photographs whose means differ most, as a section of a page.

    Args:
        comparison: the numbers.
        folder: where the photographs are; None tries their names as paths.

    Raises:
        RequestError: there is no such folder.
    """
    c = comparison
    rows = c.worst()
    pictures = thumbnails([c.names[row] for row in rows], folder)
    a, b = mean_rating(c.reference), mean_rating(c.candidate)
    cards = []
    for row in rows:
        people = None if c.people is None or c.people[row, 0] != c.people[row, 0] else c.people[row]
        told = f"<b>{number(b[row] - a[row], '+.3f')}</b> &nbsp;{a[row]:.3f} → {b[row]:.3f}"
        if people is not None:
            told += f", people {mean_rating(people):.2f}"
        cards.append(
            f'<div class="card"><div class="picture">{_picture(pictures.get(c.names[row]))}</div><div class="body">'
            f'<div class="means">{told}</div>{histograms(c.reference[row], c.candidate[row], people)}'
            f'<div class="name">{text(c.names[row])}</div></div></div>'
        )
    outline = "; outlined: people" if c.people is not None else ""
    if c.against_people is not None and c.against_people.inferred:
        outline += " (inferred from their mean)"
    lost = sum(c.names[row] not in pictures for row in rows)
    hint = ""
    if lost:
        hint = (
            f" {lost} of these photographs {'is' if lost == 1 else 'are'} not on this machine under the recorded name: "
            "<code>edge-nima compare … --photos DIR</code> points at the folder that they are in."
        )
    legend = '<span class="dot reference"></span>reference, <span class="dot candidate"></span>candidate'
    return (
        f'<h2>The {len(rows)} worst photographs</h2><p class="told">Largest difference of the mean first, reference → '
        f"candidate, rating points. Histograms: share of ratings 1 to 10, {legend}{outline}.{hint}</p>"
        f'<div class="photographs">{"".join(cards)}</div>'
    )


def _picture(found: str | PictureError | None) -> str:
    if found is None:
        return "<span>not found; --photos DIR says where it is</span>"
    if isinstance(found, PictureError):
        return f"<span>{text(found)}</span>"
    return f'<img src="{found}" alt="">'


def histograms(
    reference: Floats,
    candidate: Floats,
    people: Floats | None = None,
    what: str = "Histograms of reference and candidate, ratings 1 to 10",
) -> str:
    """Two histograms side by side as SVG, that of people drawn over them.

    Args:
        reference: shape (10,), proportions, as the others.
        candidate: the right bar of each pair.
        people: an outline around each pair; None for none.
        what: for those who cannot see it.
    """
    every = [reference, candidate] + ([] if people is None else [people])
    top = max(float(p.max()) for p in every)
    step = _WIDE / BINS
    bar = step * 0.36
    marks = []
    for rating in range(BINS):
        left = rating * step + step * 0.12
        for side, share, x in (
            ("reference", float(reference[rating]), left),
            ("candidate", float(candidate[rating]), left + bar + step * 0.04),
        ):
            tall = _TALL * share / top
            marks.append(
                f'<rect class="{side}" x="{x:.1f}" y="{_TALL - tall:.1f}" width="{bar:.1f}" height="{tall:.1f}"/>'
            )
        if people is not None:
            tall = _TALL * float(people[rating]) / top
            wide = 2 * bar + step * 0.04
            marks.append(
                f'<rect class="people" x="{left:.1f}" y="{_TALL - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}"/>'
            )
        marks.append(
            f'<text class="tick" x="{(rating + 0.5) * step:.1f}" y="{_TALL + _FOOT - 1:.1f}">{rating + 1}</text>'
        )
    marks.append(f'<path class="base" d="M0 {_TALL}H{_WIDE}"/>')
    return f'<svg viewBox="0 -1 {_WIDE:g} {_TALL + _FOOT + 1:g}" role="img" aria-label="{what}">{"".join(marks)}</svg>'

"""The plots of a report: SVG that takes its colours from the page, so that it reads on light and on dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_nima.agreement import FLIP_AT, is_good
from edge_nima.distribution import Floats
from edge_nima.errors import PackageMissing
from edge_nima.reports.model import Draw, Plot

if TYPE_CHECKING:
    from markupsafe import Markup

# Matplotlib has no currentColor: these stand for the page's variables and are replaced in what it writes.
_VARIABLES = {
    "#010101": "var(--ink)",
    "#020202": "var(--soft)",
    "#030303": "var(--line)",
    "#040404": "var(--reference)",
    "#050505": "var(--candidate)",
    "#060606": "var(--card)",
}
INK, SOFT, LINE, REFERENCE, CANDIDATE, CARD = _VARIABLES

MANY = 3000
"""Points beyond which a scatter becomes a picture inside the SVG: every one of them is 90 bytes of it."""
PICTURE_COLOURS = {REFERENCE: "#5b8fd0", CANDIDATE: "#e0772f"}  # seen on white and on black
_WIDTH = 4.6  # inches of 72 points; text of 10 points is then legible on a telephone

_STYLE = {
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": SOFT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}


def need_matplotlib() -> None:
    """Import matplotlib.

    Raises:
        PackageMissing: it is not installed.
    """
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise PackageMissing("an HTML report needs matplotlib: pip install 'edge-nima[report]'") from error


def scatter(a: Floats, b: Floats, whose: tuple[str, str], sides: tuple[str, str]) -> Draw:
    """Means `b` over means `a`, shape (n,), one dot a photograph; those on the other side of 5 in the other colour.

    Args:
        a: whose they are is `whose[0]`.
        b: whose they are is `whose[1]`.
        whose: for the axes.
        sides: what to call those on the same side of 5, and the others.
    """
    flips = is_good(a) != is_good(b)

    def draw(axes: Any) -> None:
        low, high = min(a.min(), b.min()), max(a.max(), b.max())
        edge = max(0.05 * (high - low), 0.1)
        low, high = low - edge, high + edge
        axes.plot([low, high], [low, high], color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
        if low < FLIP_AT < high:
            axes.axhline(FLIP_AT, color=SOFT, linewidth=0.7)
            axes.axvline(FLIP_AT, color=SOFT, linewidth=0.7)
        picture, size = len(a) > MANY, float(np.clip(9000 / len(a), 5, 26))
        for chosen, colour, alpha, label in (
            (~flips, REFERENCE, 0.5, sides[0]), (flips, CANDIDATE, 0.95, sides[1])
        ):  # fmt: skip
            if chosen.any():
                axes.scatter(
                    a[chosen], b[chosen], s=size, color=PICTURE_COLOURS[colour] if picture else colour, alpha=alpha,
                    linewidths=0, rasterized=picture, label=f"{label} ({chosen.sum():,})",
                )  # fmt: skip
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set(xlabel=f"{whose[0]}, mean rating", ylabel=f"{whose[1]}, mean rating")
        legend(axes)

    return draw


def annotate(axes: Any, points: Iterable[tuple[float, float, str]], right: bool = False) -> None:
    """Small print above points, or to the `right` of them: x, y, text."""
    for x, y, text in points:
        axes.annotate(
            text, (x, y), (3, 0) if right else (0, 5), textcoords="offset points", fontsize=8, color=SOFT,
            ha="left" if right else "center", va="center" if right else "baseline",
        )  # fmt: skip


def rows(axes: Any, names: Sequence[str]) -> None:
    """Names down the vertical axis, the first on top."""
    axes.set_yticks(range(len(names)), [name if len(name) <= 26 else f"{name[:25]}…" for name in names], fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(False, axis="y")


def legend(axes: Any) -> None:
    """Above the plot, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, handletextpad=0.5)


def svg(plot: Plot) -> Markup:
    """One plot as an SVG element of an HTML page; its title makes the ids inside differ from those of other plots."""
    import matplotlib
    from markupsafe import Markup
    from matplotlib.figure import Figure

    text = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": plot.title}):
        figure = Figure((_WIDTH, plot.height), dpi=200, layout="constrained")
        plot.draw(figure.subplots())
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return Markup(_for_html(text.getvalue(), plot.title))


def _for_html(drawn: str, what: str) -> str:
    """Without what a page does not need (prolog, metadata, namespaces, ids of groups), and with its colours."""
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn).replace("xlink:href=", "href=")
    view = re.search(r'viewBox="[^"]*"', drawn)
    drawn = re.sub(
        r"<svg[^>]*>", f'<svg {view[0] if view else ""} role="img" aria-label="{escape(what)}">', drawn, count=1
    )
    drawn = re.sub(r"font: (?:\w+ )*([\d.]+px)[^;\"]*", r"font-size: \1", drawn)
    for stand_in, variable in _VARIABLES.items():
        drawn = drawn.replace(stand_in, variable)
    return drawn

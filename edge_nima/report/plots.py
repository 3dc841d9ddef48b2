"""The plots of a report: SVG that takes its colours from the page, so that it reads on light and on dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import numpy as np

from edge_nima.agreement import FLIP_AT, is_good
from edge_nima.comparison import BIN_WIDTH, Comparison, LayerError
from edge_nima.distribution import mean_rating
from edge_nima.errors import PackageMissing

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
_WIDTH, _HEIGHT = 4.6, 3.7  # inches of 72 points; text of 10 points is then legible on a telephone

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


def scatter_of_means(comparison: Comparison) -> str:
    """The candidate's mean over the reference's, one dot a photograph, those that flip in another colour."""
    a, b = mean_rating(comparison.reference), mean_rating(comparison.candidate)
    flips = is_good(a) != is_good(b)

    def draw(axes: Any) -> None:
        low, high = min(a.min(), b.min()), max(a.max(), b.max())
        edge = max(0.05 * (high - low), 0.1)
        low, high = low - edge, high + edge
        axes.plot([low, high], [low, high], color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
        if low < FLIP_AT < high:
            axes.axhline(FLIP_AT, color=SOFT, linewidth=0.7)
            axes.axvline(FLIP_AT, color=SOFT, linewidth=0.7)
        picture = len(a) > MANY
        size = float(np.clip(9000 / len(a), 5, 26))
        for chosen, colour, alpha, label in (
            (~flips, REFERENCE, 0.5, "same side of 5"),
            (flips, CANDIDATE, 0.95, "other side of 5"),
        ):
            if chosen.any():
                colour = PICTURE_COLOURS[colour] if picture else colour
                axes.scatter(
                    a[chosen], b[chosen], s=size, color=colour, alpha=alpha, linewidths=0, rasterized=picture,
                    label=f"{label} ({chosen.sum():,})",
                )  # fmt: skip
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set(xlabel="reference, mean rating", ylabel="candidate, mean rating")
        legend(axes)

    return svg("scatter", "Mean rating by the candidate over mean rating by the reference", draw)


def histogram_of_differences(comparison: Comparison) -> str:
    """How many photographs differ by how much."""
    gap = mean_rating(comparison.candidate) - mean_rating(comparison.reference)

    def draw(axes: Any) -> None:
        reach = max(float(np.abs(gap).max()), 1e-3) * 1.02
        axes.hist(gap, bins=np.linspace(-reach, reach, 52).tolist(), color=REFERENCE, alpha=0.75, linewidth=0)
        axes.axvline(0, color=SOFT, linewidth=0.9)
        axes.axvline(gap.mean(), color=CANDIDATE, linewidth=1.6, label=f"bias {gap.mean():+.4f}")
        p99 = comparison.agreement.p99
        for side in (-p99, p99):
            label = f"p99 {p99:.3f}" if side < 0 else None
            axes.axvline(side, color=INK, linewidth=1.0, linestyle=(0, (2, 2)), label=label)
        axes.grid(False, axis="x")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="candidate minus reference, rating points", ylabel="photographs")
        legend(axes)

    return svg("differences", "Histogram of candidate minus reference", draw)


def error_by_bin(comparison: Comparison) -> str:
    """MAE and bias of the candidate against the reference in each bin."""
    bins = comparison.bins
    middles = [one.low + BIN_WIDTH / 2 for one in bins]

    def draw(axes: Any) -> None:
        width = 0.82 * BIN_WIDTH
        axes.bar(middles, [one.agreement.mae for one in bins], width, color=REFERENCE, alpha=0.6, label="MAE")
        axes.plot(middles, [one.agreement.bias for one in bins], "D", color=CANDIDATE, markersize=5, label="bias")
        axes.axhline(0, color=SOFT, linewidth=0.9)
        for middle, one in zip(middles, bins, strict=True):
            top = max(one.agreement.mae, one.agreement.bias)
            axes.annotate(
                f"{one.agreement.n:,}", (middle, top), (0, 5), textcoords="offset points", ha="center", fontsize=8,
                color=SOFT,
            )  # fmt: skip
        axes.margins(y=0.14)
        axes.grid(False, axis="x")
        axes.set(xlabel=_of_bins(comparison), ylabel="rating points (n above)")
        legend(axes)

    return svg("bins", "MAE and bias per rating bin", draw)


def error_to_people_by_bin(comparison: Comparison) -> str:
    """Mean error of both models against people in each bin: where tails are lost."""
    bins = comparison.bins
    middles = [one.low + BIN_WIDTH / 2 for one in bins]

    def draw(axes: Any) -> None:
        for label, colour, values in (
            ("reference", REFERENCE, [one.reference_error for one in bins]),
            ("candidate", CANDIDATE, [one.candidate_error for one in bins]),
        ):
            axes.plot(middles, values, "o-", color=colour, markersize=4, linewidth=1.6, label=label)
        axes.axhline(0, color=SOFT, linewidth=0.9)
        axes.grid(False, axis="x")
        axes.set(xlabel=_of_bins(comparison), ylabel="model minus people, rating points")
        legend(axes)

    return svg("people", "Mean error of both models against people, per rating bin", draw)


def error_by_layer(layers: Sequence[LayerError]) -> str:
    """Signal to noise of each layer's output and, where it has weights, of those: low is bad."""

    def draw(axes: Any) -> None:
        places = np.arange(len(layers))
        outputs = [layer.activation_snr_db for layer in layers]
        top = max([db for db in outputs if np.isfinite(db)], default=0.0)
        # A layer that is exact has a bar to the edge; one of which nothing is known has none.
        drawn = np.nan_to_num(outputs, nan=0.0, posinf=1.1 * top, neginf=0.0)
        axes.barh(places, drawn, 0.7, color=REFERENCE, alpha=0.6, label="output")
        with_weights = [
            (place, layer.weight_snr_db)
            for place, layer in enumerate(layers)
            if layer.weight_snr_db is not None and np.isfinite(layer.weight_snr_db)
        ]
        if with_weights:
            axes.plot(
                [db for _, db in with_weights], [place for place, _ in with_weights], "D", color=CANDIDATE,
                markersize=4.5, label="weights",
            )  # fmt: skip
        axes.set_yticks(places, [_cut(layer.name) for layer in layers], fontsize=8)
        axes.set_ylim(len(layers) - 0.4, -0.6)
        axes.grid(False, axis="y")
        axes.set(xlabel="signal to noise, dB (each 6 dB: half the error)")
        legend(axes)

    return svg("layers", "Signal to noise of each layer", draw, height=0.9 + 0.19 * len(layers))


def legend(axes: Any) -> None:
    """Above the plot, where it hides nothing."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2, handletextpad=0.5)


def _of_bins(comparison: Comparison) -> str:
    whose = "people's mean rating" if comparison.bins_of == "people" else "reference's mean rating"
    return f"{whose}, bins of {BIN_WIDTH:g}"


def _cut(name: str) -> str:
    return name if len(name) <= 26 else f"{name[:25]}…"


def svg(
    name: str, what: str, draw: Callable[[Any], None], width: float = _WIDTH, height: float = _HEIGHT
) -> str:  # fmt: skip
    """One plot as an SVG element of an HTML page.

    Args:
        name: makes the ids inside differ from those of other plots.
        what: for those who cannot see it.
        draw: is given the axes.
        width: inches.
        height: inches.
    """
    import matplotlib
    from matplotlib.figure import Figure

    text = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure((width, height), dpi=200, layout="constrained")
        draw(figure.subplots())
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _for_html(text.getvalue(), what)


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

"""The plots of the exploratory page, drawn from the numbers that its JSON holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from edge_nima.distribution import RATINGS
from edge_nima.report.plots import CANDIDATE, INK, LINE, MANY, PICTURE_COLOURS, REFERENCE, SOFT, legend, svg
from edge_nima_train.explore import Description, Exploration, Group, Histogram

_LONGEST = 24


def histogram(name: str, what: str, unit: str, values: Histogram, described: Description) -> str:
    """One distribution with its mean and median; empty bins at both ends are left out."""
    edges, counts = np.array(values.edges), np.array(values.counts)
    filled = np.flatnonzero(counts)
    first, last = filled[0], filled[-1] + 1

    def draw(axes: Any) -> None:
        axes.stairs(counts[first:last], edges[first : last + 1], fill=True, color=REFERENCE, alpha=0.75)
        axes.axvline(described.mean, color=CANDIDATE, linewidth=1.6, label=f"mean {described.mean:,.2f}")
        axes.axvline(
            described.median, color=INK, linewidth=1.0, linestyle=(0, (2, 2)), label=f"median {described.median:,.2f}"
        )
        axes.grid(False, axis="x")
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel=unit, ylabel="photographs")
        legend(axes)

    return svg(name, what, draw)


def box_of_means(exploration: Exploration) -> str:
    """The box plot of the mean ratings; values beyond the whiskers are ticks."""
    d, box = exploration.mean_rating, exploration.box
    means = exploration.manifest.labels.means
    beyond = means[(means < box.low) | (means > box.high)]

    def draw(axes: Any) -> None:
        stats = {"whislo": box.low, "q1": d.q1, "med": d.median, "q3": d.q3, "whishi": box.high, "fliers": []}
        line = {"color": INK, "linewidth": 1.2}
        axes.bxp(
            [stats], orientation="horizontal", widths=0.5, patch_artist=True, showfliers=False,
            boxprops={"facecolor": REFERENCE, "alpha": 0.6, "edgecolor": INK}, medianprops=line | {"linewidth": 2},
            whiskerprops=line, capprops=line,
        )  # fmt: skip
        # Thinned where there are thousands: ticks of one pixel would lie on each other.
        shown = np.unique(beyond.round(2))
        axes.plot(shown, np.ones(len(shown)), "|", color=CANDIDATE, markersize=9, markeredgewidth=0.8)
        axes.plot([d.mean], [1], "D", color=CANDIDATE, markersize=5)
        axes.grid(False, axis="y")
        axes.set(xlabel="mean rating", yticks=[], xlim=(0.9, 10.1), xticks=range(1, 11))

    return svg("box", "Box plot of the mean ratings", draw, height=1.7)


def ratings(exploration: Exploration) -> str:
    """Shares of the ratings 1 to 10, every photograph counting the same."""
    shares = np.array(exploration.all_ratings)

    def draw(axes: Any) -> None:
        axes.bar(RATINGS, 100 * shares, 0.82, color=REFERENCE, alpha=0.75)
        axes.grid(False, axis="x")
        axes.set(xlabel="rating", ylabel="% of ratings", xticks=range(1, 11))

    return svg("ratings", "Shares of the ratings 1 to 10", draw)


def std_over_mean(exploration: Exploration) -> str:
    """How much people agree about a photograph, over how they like it."""
    means, stds = exploration.manifest.labels.means, exploration.std_of_each
    bins = [one for one in exploration.bins if one.mean_std is not None]

    def draw(axes: Any) -> None:
        picture = len(means) > MANY
        colour = PICTURE_COLOURS[REFERENCE] if picture else REFERENCE
        size, alpha = (2.0, 0.15) if picture else (7.0, 0.4)
        axes.scatter(means, stds, s=size, color=colour, alpha=alpha, linewidths=0, rasterized=picture)
        axes.plot(
            [(one.low + one.high) / 2 for one in bins], [one.mean_std for one in bins], "o-", color=CANDIDATE,
            markersize=4, linewidth=1.6, label="mean in each tenth of 1 to 10",
        )  # fmt: skip
        axes.set(xlabel="mean rating", ylabel="standard deviation of the ratings")
        legend(axes)

    return svg("spread", "Standard deviation of the ratings over the mean rating", draw)


def groups(name: str, what: str, shown: Sequence[Group]) -> str:
    """Photographs in each group, with its mean rating behind the bar."""

    def draw(axes: Any) -> None:
        places = np.arange(len(shown))
        axes.barh(places, [group.n for group in shown], 0.72, color=REFERENCE, alpha=0.6)
        for place, group in zip(places, shown, strict=True):
            axes.annotate(
                f"{group.n:,} · {group.mean:.2f}", (group.n, place), (3, 0), textcoords="offset points", va="center",
                fontsize=8, color=SOFT,
            )  # fmt: skip
        cut = [group.name if len(group.name) <= _LONGEST else f"{group.name[: _LONGEST - 1]}…" for group in shown]
        axes.set_yticks(places, cut, fontsize=8)
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.margins(x=0.22)
        axes.grid(False, axis="y")
        axes.grid(True, axis="x", color=LINE)
        axes.set(xlabel="photographs · mean rating")

    return svg(name, what, draw, height=0.8 + 0.19 * len(shown))

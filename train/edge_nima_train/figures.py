"""The plots of an evaluation's page, in the style of `edge_nima.report.plots`. People are blue, the network orange."""

from __future__ import annotations

from typing import Any

import numpy as np

from edge_nima.agreement import FLIP_AT, is_good
from edge_nima.distribution import RATINGS, Floats, mean_rating
from edge_nima.people import people_means
from edge_nima.report.plots import CANDIDATE, INK, LINE, MANY, PICTURE_COLOURS, REFERENCE, SOFT, legend, svg
from edge_nima_train.evaluation import Evaluation
from edge_nima_train.more_statistics import HIGH_TAIL, LOW_TAIL

_BIN, _TAIL_BIN = 0.2, 0.1  # rating points


def distributions_of_means(e: Evaluation) -> str:
    """How many photographs have which mean, by people and by the network, over all ratings; both tails are marked."""

    def draw(axes: Any) -> None:
        people, model = people_means(e.people), mean_rating(e.predicted)
        _outlines(axes, people, model, np.arange(1.0, 10.0 + _BIN / 2, _BIN), density=True)
        low, high = _range(people, model)
        for edges in ((1.0, LOW_TAIL), (HIGH_TAIL, 10.0)):
            axes.axvspan(*edges, color=LINE, alpha=0.45, linewidth=0, zorder=0)
        axes.axvline(FLIP_AT, color=SOFT, linewidth=0.7)
        axes.set(xlim=(min(low, LOW_TAIL - 0.5), max(high, HIGH_TAIL + 0.5)))
        axes.set(xlabel="mean rating (the tails shaded)", ylabel="share of photographs per rating point")
        legend(axes)

    return svg("means", "Distributions of mean ratings by people and by the model", draw)


def tail_of_means(e: Evaluation, side: str) -> str:
    """One tail enlarged: photographs, not shares, so that an empty one is seen to be empty.

    Args:
        e: the numbers.
        side: "below" or "above".
    """
    people, model = people_means(e.people), mean_rating(e.predicted)
    low, high = (1.0, LOW_TAIL) if side == "below" else (HIGH_TAIL, 10.0)
    inside = [means[(means < high) if side == "below" else (means > low)] for means in (people, model)]

    def draw(axes: Any) -> None:
        _outlines(axes, inside[0], inside[1], np.arange(low, high + _TAIL_BIN / 2, _TAIL_BIN), density=False)
        reach = np.concatenate(inside)
        if not len(reach):
            axes.text(0.5, 0.5, "no photograph of either", transform=axes.transAxes, ha="center", color=SOFT)
            axes.set_xlim(low, high)
        elif side == "below":
            axes.set_xlim(min(float(np.floor(reach.min() * 2) / 2), high - 0.5), high)
        else:
            axes.set_xlim(low, max(float(np.ceil(reach.max() * 2) / 2), low + 0.5))
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set_ylim(bottom=0)
        axes.set(xlabel=f"mean rating, {side} {high if side == 'below' else low:g}", ylabel="photographs")
        if len(reach):
            legend(axes)

    return svg(f"tail-{side}", f"Mean ratings {side} {high if side == 'below' else low:g}, enlarged", draw)


def _outlines(axes: Any, people: Floats, model: Floats, edges: Floats, *, density: bool) -> None:
    """Two histograms over each other: people's filled, the network's a line."""
    style: dict[str, Any] = {"bins": edges.tolist(), "density": density}
    told = [f" ({len(means):,})" if not density else "" for means in (people, model)]
    if len(people) or len(model):
        axes.hist(people, color=REFERENCE, alpha=0.45, linewidth=0, label=f"people{told[0]}", **style)
        axes.hist(model, histtype="step", color=CANDIDATE, linewidth=1.8, label=f"model{told[1]}", **style)
    axes.grid(False, axis="x")


def _range(*sides: Floats) -> tuple[float, float]:
    every = np.concatenate(sides)
    return max(1.0, float(every.min()) - 0.2), min(10.0, float(every.max()) + 0.2)


def scatter(e: Evaluation) -> str:
    """The network's mean over people's, one dot a photograph; those on the other side of 5 in the other colour."""
    people, model = people_means(e.people), mean_rating(e.predicted)
    wrong = is_good(people) != is_good(model)

    def draw(axes: Any) -> None:
        low, high = _range(people, model)
        axes.plot([low, high], [low, high], color=SOFT, linewidth=0.9, linestyle=(0, (4, 3)))
        for line in (axes.axhline, axes.axvline):
            if low < FLIP_AT < high:
                line(FLIP_AT, color=SOFT, linewidth=0.7)
        picture = len(people) > MANY
        for chosen, colour, label in ((~wrong, REFERENCE, "right side of 5"), (wrong, CANDIDATE, "wrong side of 5")):
            if chosen.any():
                axes.scatter(
                    people[chosen], model[chosen], s=float(np.clip(9000 / len(people), 5, 26)), linewidths=0, alpha=0.6,
                    color=PICTURE_COLOURS[colour] if picture else colour, rasterized=picture,
                    label=f"{label} ({chosen.sum():,})",
                )  # fmt: skip
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set(xlabel="people, mean rating", ylabel="model, mean rating")
        legend(axes)

    return svg("opinions", "Mean rating by the model over mean rating by people", draw)


def error_by_rating(e: Evaluation) -> str:
    """The network's mean error where people rate low and where they rate high: a collapsed one falls from corner to
    corner."""
    middles = [(one.low + one.high) / 2 for one in e.bins]

    def draw(axes: Any) -> None:
        constant = [e.constant.mean - middle for middle in middles]
        axes.plot(middles, constant, color=SOFT, linewidth=1.1, linestyle=(0, (4, 3)), label="constant answer")
        axes.plot(
            middles, [one.bias for one in e.bins], "o-", color=CANDIDATE, markersize=4, linewidth=1.6, label="model"
        )
        axes.axhline(0, color=INK, linewidth=0.8)
        for middle, one in zip(middles, e.bins, strict=True):
            axes.annotate(
                f"{one.n:,}",
                (middle, one.bias),
                (0, 6),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=SOFT,
            )
        axes.margins(y=0.14)
        axes.grid(False, axis="x")
        axes.set(xlabel="people's mean rating, bins of 0.5", ylabel="model minus people (n above)")
        legend(axes)

    return svg("errors", "Mean error of the model per bin of people's mean rating", draw)


def mean_histograms(e: Evaluation) -> str:
    """The mean of all histograms, by people and by the network."""
    people, model = e.people.mean(axis=0), e.predicted.mean(axis=0)

    def draw(axes: Any) -> None:
        for place, share, colour, label in ((-0.2, people, REFERENCE, "people"), (0.2, model, CANDIDATE, "model")):
            axes.bar(RATINGS + place, share, 0.38, color=colour, alpha=0.75, linewidth=0, label=label)
        axes.set_xticks(RATINGS)
        axes.grid(False, axis="x")
        axes.set(xlabel="rating", ylabel="share of ratings")
        legend(axes)

    return svg("histograms", "Mean of all histograms by people and by the model", draw)

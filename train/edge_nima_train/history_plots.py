"""The curves of a run: loss and statistics over the epochs of both phases."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

from edge_nima.reports.plots import need_matplotlib
from edge_nima_train.run_folder import RunFolder

_LINES = {
    "loss.svg": ("loss", {"loss": "training", "val_loss": "validation"}),
    "metrics.svg": (
        "on the validation photographs",
        {"val_srcc": "SRCC", "val_plcc": "PLCC", "val_spread_ratio": "spread ratio"},
    ),
}
_COLOURS = ("#2a6fb0", "#d1611f", "#4d8a3d")  # legible on white, and for most who see colours otherwise


def write_plots(folder: RunFolder, history: Sequence[Mapping[str, Any]]) -> None:
    """Write loss.svg and metrics.svg of `history`.

    Raises:
        PackageMissing: matplotlib is not installed.
        OutputError: they cannot be written.
    """
    for name, (what, lines) in _LINES.items():
        folder.write_text(name, plot(history, what, lines))


def plot(history: Sequence[Mapping[str, Any]], what: str, lines: Mapping[str, str]) -> str:
    """Some columns of a history over its epochs as SVG, the two phases parted by a line.

    Args:
        history: one mapping an epoch.
        what: the vertical axis.
        lines: the columns, and what the legend calls them.
    """
    need_matplotlib()
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    with rc_context(
        {"svg.fonttype": "none", "svg.hashsalt": "edge_nima", "font.family": "sans-serif", "font.size": 10}
    ):
        figure = Figure(figsize=(6.4, 3.8), layout="constrained", facecolor="white")
        axes = figure.subplots()
        epochs = range(1, len(history) + 1)
        for (column, label), colour in zip(lines.items(), _COLOURS, strict=False):
            values = [math.nan if line.get(column) is None else line[column] for line in history]
            axes.plot(epochs, values, color=colour, label=label, marker="o", markersize=3, linewidth=1.5)
        first = sum(line["phase"] == 1 for line in history)
        if 0 < first < len(history):
            axes.axvline(first + 0.5, color="#888888", linewidth=1, linestyle=":")
            where = axes.get_xaxis_transform()
            for text, side in (("\u00a0all layers", "left"), ("head\u00a0", "right")):
                axes.text(first + 0.5, 1.01, text, transform=where, color="#555555", fontsize=9, ha=side)
        axes.set_xlabel("epoch")
        axes.set_ylabel(what)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#e4e4e4", linewidth=0.8)
        axes.set_axisbelow(True)
        axes.legend(frameon=False)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    return out.getvalue()

"""What conversions cost, as lines and tables: a row a recipe, people beside it, the files that are kept, and layers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edge_nima.people import AgainstPeople
from edge_nima.reports.model import Cell, Column, Table, cells, columns, estimate, number

if TYPE_CHECKING:
    from edge_nima_convert.conversion import Conversion


def parts(done: Sequence[Conversion]) -> Iterator[str | Table]:
    """For `edge_nima.reports.terminal.render`, in the order in which the conversions were made; at least one."""
    first = done[0].comparison
    yield f"Agreement with the float checkpoint, n={first.n} ({first.on}); rating points:"
    headings = columns("recipe", "MB", "MAE", "bias", "p99", "SRCC", "EMD r=2", "flips at 5", "spread")
    yield Table((*headings, Column("gate", text=True)), tuple(map(_row, done)))
    part = first.against_people
    if part is not None:
        b = part.baselines
        yield (
            f"Against people, n={part.n} ({part.source}); whoever looks at no photograph gets accuracy "
            f"{number(max(b.good_accuracy, b.accuracy), '%')}, EMD r=2 {b.emd_r2:.4f}:"
        )
        rows = [(Cell("float"), *_against(part.reference), Cell(""))]
        for one in done:
            if (beside := one.comparison.against_people) is not None:
                change = beside.difference.srcc
                told = estimate(change.value, (change.low, change.high), ".4f", signed=True)
                rows.append((Cell(one.recipe), *_against(beside.candidate), told))
        change_of = Column("change of SRCC", "95 % interval")
        yield Table((*columns("model", "SRCC", "PLCC", "accuracy at 5", "EMD r=2"), change_of), tuple(rows))
    yield from (f"{one.path}  ({one.seconds:.0f} s)" for one in done if one.path is not None)
    for one in done:
        if one.layers:
            yield f"Layers of {one.recipe}: signal to noise against float; MAE of the mean when it alone is quantised:"
            words = (Column("layer"), Column("kind", text=True), Column("held as", text=True))
            yield Table(
                (*words, *columns("weights dB", "output dB", "MAE alone")),
                tuple(
                    cells(
                        layer.name, layer.kind, layer.precision, number(layer.weight_snr_db, ".1f"),
                        number(layer.activation_snr_db, ".1f"), number(layer.mae, ".4f"),
                    )
                    for layer in sorted(one.layers, key=lambda layer: -(layer.mae or 0.0))
                ),
            )  # fmt: skip


def _row(one: Conversion) -> tuple[Cell, ...]:
    a, verdict = one.agreement, one.verdict
    failed = ", ".join(dict.fromkeys(failure.statistic for failure in verdict.failures))
    return cells(
        one.recipe, f"{one.size / 1e6:.2f}", f"{a.mae:.4f}", f"{a.bias:+.4f}", f"{a.p99:.3f}", number(a.srcc, ".4f"),
        f"{a.emd_r2:.4f}", number(a.flips, "%"), number(a.spread_ratio, ".3f"),
        f"{verdict.status}: {failed}" if failed else verdict.status,
    )  # fmt: skip


def _against(model: AgainstPeople) -> tuple[Cell, ...]:
    return cells(
        number(model.srcc.value, ".4f"), number(model.plcc.value, ".4f"), number(model.accuracy.value, "%"),
        number(model.emd_r2.value, ".4f"),
    )  # fmt: skip

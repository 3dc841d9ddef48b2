"""How far from the float model the bundled models and the peers are, on photographs none was calibrated on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.harness import Bench, Missing, measured_process
from benchmarks.peers import Peer, available, command, linked, ours, peers, prepared, scores, versions_of
from edge_nima.agreement import measure_agreement, spearman
from edge_nima.distribution import mean_rating
from edge_nima.labels import read_labels
from edge_nima.photographs import draw_photographs, find_photographs

PHOTOGRAPHS, QUICK = "oasis_beauty/images", 60
REFERENCE = "idealo_keras"
BUNDLED = ("mobilenet-ava-int8-mixed", "mobilenet-ava-float16")


def run(bench: Bench) -> None:
    """Measure and keep."""
    photographs = find_photographs([bench.photographs(PHOTOGRAPHS)])
    photographs = draw_photographs(photographs, bench.rounds(len(photographs), QUICK), seed=0)
    people = _people(bench, photographs)
    with linked(photographs) as folder:
        keras = peers()[REFERENCE]
        reference = _distributions(keras, "float32", prepared(bench, keras, "float32"), folder, photographs)
        bench.keep("reference", photographs=len(photographs), peer=keras.name, variant="float32",
                   **_to_people(reference, people), versions=versions_of(keras))  # fmt: skip
        cases = [(ours(), variant, prepared(bench, ours(), variant)) for variant in BUNDLED]
        others = ((p, *of) for p, *of in available(bench) if p.name != REFERENCE)
        for peer, variant, model in (*cases, *others):
            found = _distributions(peer, variant, model, folder, photographs)
            agreement = measure_agreement(reference, found)
            bench.keep(
                "agreement", np.abs(mean_rating(found) - mean_rating(reference)).tolist(), "rating points",
                peer=peer.name, variant=variant,
                **{name: float(f"{getattr(agreement, name):.5g}") for name in ("mae", "bias", "srcc", "flips")},
                **_to_people(found, people), versions=versions_of(peer),
            )  # fmt: skip


def _distributions(
    peer: Peer, variant: str, model: Path, folder: Path, photographs: Sequence[Path]
) -> NDArray[np.float64]:
    records, _ = scores(measured_process(command(peer, variant, "score", model, folder))[2])
    held = {Path(record["name"]).name: record["distribution"] for record in records}
    return np.array([held[photograph.name] for photograph in photographs], np.float64)


def _people(bench: Bench, photographs: Sequence[Path]) -> tuple[list[int], NDArray[np.float64]] | None:
    try:
        labels = read_labels(bench.photographs("oasis_beauty/labels.csv"))
    except Missing:
        return None
    rows = labels.match(photographs)
    with_label = [index for index, row in enumerate(rows) if row is not None]
    return with_label, np.array([labels.means[row] for row in rows if row is not None])


def _to_people(found: NDArray[np.float64], people: tuple[list[int], NDArray[np.float64]] | None) -> dict[str, float]:
    if people is None:
        return {}
    with_label, means = people
    return {"srcc_to_people": float(f"{spearman(means, mean_rating(found)[with_label]):.5g}")}

"""What each recipe of `edge-nima convert` costs: agreement with the float model on photographs that none has seen."""

from __future__ import annotations

from benchmarks.harness import Bench, Missing
from edge_nima.interpreter import Interpreter
from edge_nima.measuring import in_turn
from edge_nima.photographs import draw_photographs, find_photographs

LONG = True
RECIPES = ("float32", "float16", "dynamic", "int8", "int8-corrected", "int8-mixed")


def run(bench: Bench) -> None:
    """Convert the published weights by each recipe, measure and keep."""
    try:
        from edge_nima_convert import convert
    except ImportError as error:
        raise Missing("needs edge-nima[convert]") from error
    weights = bench.photographs("weights") / "idealo_mobilenet_aesthetic_0.07.hdf5"
    calibration = draw_photographs(find_photographs([bench.photographs("biq2021/images")]), bench.rounds(200, 20), 0)
    judges = find_photographs([bench.photographs("oasis_beauty/images")])
    judges = draw_photographs(judges, bench.rounds(len(judges), 60), 0)
    made = convert(
        weights, ["float16", "int8"] if bench.quick else RECIPES, calibration=calibration, evaluate=judges,
        name="idealo", filter="nearest", fit="stretch", input_range=(-1, 1), longest_edge=640,
    )  # fmt: skip
    bare = {one.recipe: Interpreter(one.content, one.card.preprocessing, 1).invoke for one in made}
    times = in_turn(bare, bench.rounds(200))
    for one in made:
        agreement = one.agreement
        bench.keep(
            "recipe", times[one.recipe], threads=1, recipe=one.recipe, bytes=one.size, photographs=len(judges),
            calibration=len(calibration), gate=one.verdict.status,
            error_p99=float(f"{agreement.p99:.5g}"),
            **{name: float(f"{getattr(agreement, name):.5g}") for name in ("mae", "bias", "srcc", "flips")},
        )  # fmt: skip

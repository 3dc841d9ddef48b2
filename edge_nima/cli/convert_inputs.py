"""Photographs for `edge-nima convert`: those that calibrate and train, those that judge, those that become probes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from edge_nima.cli.options import say
from edge_nima.cli.progress import progress
from edge_nima.errors import RequestError, printable

if TYPE_CHECKING:
    from edge_nima.ava import Labels
    from edge_nima.distribution import Floats
    from edge_nima.records import FileStamp, ScoreRecord
    from edge_nima_convert.checkpoint import Checkpoint
    from edge_nima_convert.conversion import Material, Yardstick
    from edge_nima_convert.draws import Draw
    from edge_nima_convert.photographs import Inputs
    from edge_nima_convert.probes import Picture
    from edge_nima_convert.recipes import Recipe

MOST_PREDICTED = 2400
"""Photographs that the float model looks at to make rating bins, at most: two minutes on two cores."""


@dataclass(frozen=True)
class Draws:
    """How many photographs of which are drawn, as the options say."""

    calibration: Sequence[str]
    labels: Path | None
    per_bin: int
    bins: int
    training: Sequence[str]
    training_count: int
    evaluate: Sequence[str]
    evaluate_count: int
    evaluate_labels: Path | None
    seed: int


@dataclass(frozen=True)
class Judging:
    """What conversions are judged by, and the float model's records of all photographs of --evaluate."""

    yardstick: Yardstick
    records: Sequence[ScoreRecord] = ()
    stamps: Sequence[FileStamp] = ()


def read_material(source: Checkpoint, recipes: Sequence[Recipe], draws: Draws) -> tuple[Material, frozenset[str]]:
    """What the recipes learn from, and the hashes of all of it.

    Raises:
        CalibrationError: too few different photographs.
        RequestError: a path does not exist.
    """
    from edge_nima.photographs import draw_photographs, find_photographs
    from edge_nima_convert import photographs
    from edge_nima_convert.calibration import calibration_document, load_draw
    from edge_nima_convert.conversion import Material, needs_training

    if not any(recipe.needs_calibration for recipe in recipes):
        return Material(), frozenset()
    how = source.preprocessing
    draw = _draw(source, draws)
    with progress("calibration photographs", len(draw.paths)) as step:
        draw, inputs = load_draw(draw, how, step)
    _say_unreadable(inputs.unreadable)
    for warning in [*draw.warnings(), *photographs.check_calibration(inputs, how=how, draw=draw)]:
        say(f"warning: {warning}")
    described = photographs.describe_calibration(inputs, draws.seed, draw.means, draw=draw)
    calibrating = Material(
        inputs.pixels, tuple(map(printable, inputs.paths)), described, calibration_document(draw, inputs, how)
    )
    if not any(map(needs_training, recipes)):
        return calibrating, inputs.hashes
    pool = find_photographs(draws.training or draws.calibration)
    training = _read(draw_photographs(pool, draws.training_count, draws.seed), source, "photographs to train on")
    if not training.paths:
        raise RequestError("none of the photographs of --distil-photographs can be read")
    described = {**described, "training": {"n": len(training.paths), "different": len(training.hashes)}}
    material = replace(calibrating, described=described, training=training.pixels)
    return material, inputs.hashes | training.hashes


def _draw(source: Checkpoint, draws: Draws) -> Draw:
    """Calibration photographs from rating bins: by people's labels, or by what the float model predicts."""
    from edge_nima.ava import read_labels
    from edge_nima.photographs import draw_photographs, find_photographs
    from edge_nima_convert import photographs
    from edge_nima_convert.draws import choose_calibration

    found = find_photographs(draws.calibration)
    how, per_bin, bins, seed = source.preprocessing, draws.per_bin, draws.bins, draws.seed
    if draws.labels is not None:
        return choose_calibration(found, labels=read_labels(draws.labels), per_bin=per_bin, bins=bins, seed=seed)
    pool = draw_photographs(found, MOST_PREDICTED, seed)
    if len(pool) < len(found):
        say(f"making rating bins of {len(pool)} of {len(found)} photographs; with --labels all can be drawn")
    with progress("rating bins by the float model", len(pool)) as step:
        paths, means, unreadable = photographs.predicted_means(pool, how, source.predict, step)
    _say_unreadable(unreadable)
    return choose_calibration(paths, means=means, per_bin=per_bin, bins=bins, seed=seed)


def read_pictures(probes: Sequence[str]) -> list[Picture]:
    """Golden probes to be: of these photographs, or the bundled model's."""
    from edge_nima.photographs import find_photographs
    from edge_nima.scorer import load_model
    from edge_nima_convert.probes import pictures_from_card, pictures_from_photographs

    return pictures_from_photographs(find_photographs(probes)) if probes else pictures_from_card(load_model().card)


def read_judging(
    source: Checkpoint, draws: Draws, material: Material, used: frozenset[str], pictures: Sequence[Picture]
) -> Judging:
    """What conversions are judged by: the photographs of --evaluate, or what there is instead, and said so.

    Raises:
        RequestError: a path does not exist, or none of the photographs can be read.
    """
    import numpy as np

    from edge_nima_convert.conversion import Yardstick, ask_float
    from edge_nima_convert.probes import model_input

    if draws.evaluate:
        return _evaluated(source, draws, used)
    if material.calibration is not None:
        pixels, names = material.calibration, material.names
        on = f"the {len(pixels)} calibration photographs themselves"
        say("warning: agreement is measured on the calibration photographs; --evaluate PHOTOS gives an honest number")
    else:
        pixels = np.stack([model_input(picture, source.preprocessing) for picture in pictures])
        names = tuple(picture.name for picture in pictures)
        on = f"the {len(pixels)} golden probes"
        say(f"warning: agreement is measured on {on} only; --evaluate PHOTOS gives a number to rely on")
    with progress("the float model's opinion", len(pixels)) as step:
        return Judging(Yardstick(pixels, ask_float(source, pixels, step), names, on, f"measured on {on}"))


def _evaluated(source: Checkpoint, draws: Draws, used: frozenset[str]) -> Judging:
    import numpy as np

    from edge_nima.ava import read_labels
    from edge_nima.photographs import draw_photographs, find_photographs
    from edge_nima.records import FileStamp
    from edge_nima_convert.conversion import Yardstick, ask_float
    from edge_nima_convert.reference import reference_records

    labels = None if draws.evaluate_labels is None else read_labels(draws.evaluate_labels)
    found = find_photographs(draws.evaluate)
    chosen = draw_photographs(found, draws.evaluate_count, draws.seed)
    if len(chosen) < len(found):
        say(f"judging by {len(chosen)} of {len(found)} photographs (--evaluate-count)")
    stamps = [FileStamp.of(path) for path in chosen]
    inputs = _read(chosen, source, "photographs to judge by")
    if not inputs.paths:
        raise RequestError("none of the photographs of --evaluate can be read")
    started = perf_counter()
    with progress("the float model's opinion", len(inputs.paths)) as step:
        reference = ask_float(source, inputs.pixels, step)
    each = round((perf_counter() - started) * 1e3 / len(inputs.paths), 3)
    opinions = dict(zip(inputs.paths, reference, strict=True))
    records = reference_records(source, chosen, opinions, _reasons(chosen, inputs), each)

    people, source_of, inferred = (None, "", False) if labels is None else _ratings(labels, inputs.paths)
    fresh = np.array([digest not in used for digest in inputs.sha256])
    shared, seen = int((~fresh).sum()), ""
    if shared and not fresh.any():
        say(f"warning: all {shared} photographs that judge calibrate or train too: the agreement flatters")
        seen = f"the {shared} photographs that judge it calibrated or trained it too"
        fresh[:] = True
    elif shared:
        say(f"warning: {shared} photographs calibrate or train too; they are left out of those that judge")
    rows = np.flatnonzero(fresh)
    yardstick = Yardstick(
        inputs.pixels[rows], reference[rows], tuple(printable(inputs.paths[row]) for row in rows.tolist()),
        f"{len(rows)} photographs of {_told(draws.evaluate)}", seen,
        None if people is None else people[rows], source_of, inferred,
    )  # fmt: skip
    return Judging(yardstick, records, stamps)


def _ratings(labels: Labels, photographs: Sequence[Path]) -> tuple[Floats, str, bool]:
    """People's ratings of photographs, whose they are, and whether from means alone."""
    import numpy as np

    from edge_nima.ava import few
    from edge_nima.distribution import BINS

    rows = labels.match(photographs)
    bare = [printable(path) for path, row in zip(photographs, rows, strict=True) if row is None]
    if bare:
        say(f"{len(bare)} of the {len(rows)} photographs that judge have no rating in {labels.name}: {few(bare)}")
    people = np.full((len(rows), BINS), np.nan)
    for place, row in enumerate(rows):
        if row is not None:
            people[place] = labels.distributions[row]
    return people, printable(labels.name), labels.inferred


def _read(chosen: Sequence[Path], source: Checkpoint, what: str) -> Inputs:
    from edge_nima_convert import photographs

    with progress(what, len(chosen)) as step:
        inputs = photographs.load_inputs(chosen, source.preprocessing, step)
    _say_unreadable(inputs.unreadable)
    return inputs


def _say_unreadable(unreadable: Sequence[str]) -> None:
    for line in unreadable[:5]:
        say(f"left out: {line}")
    if len(unreadable) > 5:
        say(f"left out: {len(unreadable) - 5} more that cannot be read")


def _reasons(chosen: Sequence[Path], inputs: Inputs) -> dict[Path, str]:
    """Why each photograph that has no pixels has none; `inputs` names them in the order of `chosen`."""
    read = set(inputs.paths)
    missing = [path for path in chosen if path not in read]
    return {
        path: line.removeprefix(f"{printable(path)}: ")
        for path, line in zip(missing, inputs.unreadable, strict=True)
    }  # fmt: skip


def _told(given: Sequence[str]) -> str:
    """The last two parts of each path: enough to know a data set by, nothing of whose machine it is on."""
    return ", ".join(printable("/".join(Path(path).absolute().parts[-2:])) for path in given)

"""The gate proves itself: conversions with the real weights, spoilt on purpose, and what it says of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import skip_without
from edge_nima.agreement import Agreement
from edge_nima.comparison import compare
from edge_nima.distribution import mean_rating
from edge_nima.errors import CalibrationError
from edge_nima.gate import judge, load_gate
from edge_nima.scorer import load_model
from edge_nima.verdict import Verdict
from edge_nima_convert.calibration import read_calibration
from edge_nima_convert.calibration_checks import check_pictures, check_repeats
from edge_nima_convert.conversion import score_pixels
from edge_nima_convert.photographs import Photographs, find_pool, load_inputs
from edge_nima_convert.recipes import Source, find_recipe
from edge_nima_convert.tflite.card import embed_card
from edge_nima_train.checkpoint import Checkpoint, open_checkpoint

skip_without("tensorflow", "edge-nima[convert]")

pytestmark = pytest.mark.slow

CALIBRATED = "int8-mixed"
"""The recipe whose calibration is spoilt: corrected, it learns more from its photographs than plain int8, and suffers
more. Each conversion takes one to four minutes."""
EVERY = 3
"""Models that are far from the gate are judged by every third photograph."""

Judge = Callable[..., tuple[Agreement, Verdict]]


@pytest.fixture(scope="module")
def checkpoint(weights: Path) -> Checkpoint:
    return open_checkpoint(weights)


@pytest.fixture(scope="module")
def everyone(data: Path) -> list[Path]:
    """Photographs that no recipe has seen: those by which the bundled model was judged."""
    return sorted((data / "oasis_beauty/images").glob("*"))


@pytest.fixture(scope="module")
def judged(everyone: list[Path]) -> list[Path]:
    return everyone[::EVERY]


@pytest.fixture(scope="module")
def all_pixels(everyone: list[Path], checkpoint: Checkpoint) -> Any:
    return load_inputs(everyone, checkpoint.preprocessing).pixels


@pytest.fixture(scope="module")
def pixels(all_pixels: Any) -> Any:
    return all_pixels[::EVERY]


@pytest.fixture(scope="module")
def calibration(data: Path, checkpoint: Checkpoint) -> Any:
    """200 photographs, 20 of each rating bin, drawn as the 320 that calibrated the bundled model."""
    pool = find_pool(Photographs(data / "biq2021/images", labels=data / "biq2021/labels.csv"), "train")
    return read_calibration(pool, checkpoint.preprocessing, checkpoint.predict).inputs.pixels


@pytest.fixture(scope="module")
def reference(checkpoint: Checkpoint, all_pixels: Any) -> Any:
    return checkpoint.predict(all_pixels)


@pytest.fixture(scope="module")
def verdict(reference: Any) -> Judge:
    """Agreement and verdict of a model's distributions on those photographs, all or every third."""

    def of(distributions: Any, every: int = EVERY) -> tuple[Agreement, Verdict]:
        names = [str(i) for i in range(len(distributions))]
        comparison = compare(names, reference[::every], distributions, on="OASIS photographs", resamples=200)
        return comparison.agreement, judge(load_gate(), comparison)

    return of


@pytest.fixture(scope="module")
def float16(checkpoint: Checkpoint) -> bytes:
    return find_recipe("float16")(Source(checkpoint))


@pytest.fixture(scope="module")
def properly_calibrated(
    checkpoint: Checkpoint, calibration: Any, all_pixels: Any, verdict: Judge
) -> tuple[Agreement, Verdict]:
    model = find_recipe(CALIBRATED)(Source(checkpoint, calibration))
    return verdict(score_pixels(model, checkpoint.preprocessing, all_pixels), every=1)


@pytest.fixture(scope="module")
def calibrated(checkpoint: Checkpoint, pixels: Any) -> Callable[[Any], Any]:
    """What the model says when calibrated on these pixels."""

    def by(calibration: Any) -> Any:
        model = find_recipe(CALIBRATED)(Source(checkpoint, calibration))
        return score_pixels(model, checkpoint.preprocessing, pixels)

    return by


def failed(verdict: Verdict) -> set[str]:
    return {failure.statistic for failure in verdict.failures}


def test_a_good_conversion_passes(float16: bytes, checkpoint: Checkpoint, pixels: Any, verdict: Judge) -> None:
    assert verdict(score_pixels(float16, checkpoint.preprocessing, pixels))[1].describe().startswith("passed (n=210")


@pytest.mark.exhaustive
def test_the_bundled_recipe_calibrated_properly_passes(properly_calibrated: tuple[Agreement, Verdict]) -> None:
    agreement, passed = properly_calibrated
    assert passed.describe().startswith("passed (n=629")
    said = load_model().card.agreement
    assert said is not None
    assert agreement.mae == pytest.approx(said["mae"], abs=0.002)  # the bundled model again, from fewer photographs


def test_plain_int8_is_refused_however_it_is_calibrated(
    checkpoint: Checkpoint, calibration: Any, pixels: Any, verdict: Judge
) -> None:
    model = find_recipe("int8")(Source(checkpoint, calibration))
    agreement, refused = verdict(score_pixels(model, checkpoint.preprocessing, pixels))
    assert {"mae_share", "bias_share", "p99_share", "srcc", "flips"} <= failed(refused)
    assert agreement.mae > 0.05


def test_a_calibration_on_noise_is_refused(calibration: Any) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, *calibration.shape[1:]), dtype=np.uint8)
    with pytest.raises(CalibrationError, match="noise"):
        check_pictures([str(i) for i in range(len(noise))], noise)


@pytest.mark.exhaustive
def test_a_calibration_on_one_repeated_photograph_is_refused_twice(
    calibrated: Callable[[Any], Any], calibration: Any, properly_calibrated: tuple[Agreement, Verdict], verdict: Judge,
    checkpoint: Checkpoint, judged: list[Path],
) -> None:  # fmt: skip
    with pytest.raises(CalibrationError, match="1 different photograph"):
        check_repeats(["one"] * 100, load_inputs(judged[:1] * 100, checkpoint.preprocessing).sha256)
    agreement, refused = verdict(calibrated(np.repeat(calibration[:1], 40, axis=0)))  # beneath that lint
    assert refused.status == "failed"
    assert {"mae_share", "p99_share", "srcc"} <= failed(refused)
    assert agreement.mae > 10 * properly_calibrated[0].mae


def test_red_and_blue_swapped_in_the_preprocessing_is_refused(
    float16: bytes, checkpoint: Checkpoint, judged: list[Path], verdict: Judge
) -> None:
    from edge_nima.card import Card
    from edge_nima.scorer import ModelFile, open_scorer

    how = replace(checkpoint.preprocessing, channel_order="BGR")
    card = Card("swapped", how)
    scorer = open_scorer(ModelFile(embed_card(float16, card), card, "0" * 64))
    records = [record.distribution for record in scorer.score_batch(judged)]
    refused = verdict(np.array(records))[1]
    assert refused.status == "failed"
    assert {"mae_share", "p99_share", "srcc", "flips"} <= failed(refused)


@pytest.mark.exhaustive
def test_output_rounded_to_256ths_is_refused_where_nobody_divides_by_the_sum(
    float16: bytes, checkpoint: Checkpoint, pixels: Any, verdict: Judge
) -> None:
    rounded = np.round(score_pixels(float16, checkpoint.preprocessing, pixels) * 256) / 256
    agreement, divided = verdict(rounded)
    # The scorer divides, and then it costs .003 more: it does not hurt, and it is not refused.
    assert divided.status == "passed"
    assert 0.008 < agreement.mae < 0.015
    reference = mean_rating(checkpoint.predict(pixels))
    gap = rounded @ np.arange(1, 11) - reference  # what a client that takes the ten numbers as they come makes of them
    raw = replace(
        agreement, mae=float(np.abs(gap).mean()), bias=float(gap.mean()), p99=float(np.percentile(np.abs(gap), 99))
    )
    names = [str(i) for i in range(len(rounded))]
    comparison = compare(names, checkpoint.predict(pixels), rounded, resamples=200)
    refused = judge(load_gate(), replace(comparison, agreement=raw))
    assert refused.status == "failed"
    assert "mae_share" in failed(refused)

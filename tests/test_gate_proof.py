"""The gate proves itself: conversions with the real weights, spoilt on purpose, and what it says of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import skip_without
from edge_nima.agreement import Agreement, measure_agreement
from edge_nima.ava import read_labels
from edge_nima.distribution import mean_rating
from edge_nima.errors import CalibrationError
from edge_nima.gate import Verdict, judge, load_gate
from edge_nima.scorer import load_model
from edge_nima_convert.calibration import load_draw
from edge_nima_convert.checkpoint import Checkpoint, open_checkpoint
from edge_nima_convert.conversion import score_pixels
from edge_nima_convert.draws import choose_calibration
from edge_nima_convert.embed import embed_card
from edge_nima_convert.lint import check_pictures
from edge_nima_convert.photographs import check_calibration, load_inputs
from edge_nima_convert.recipes import RECIPES, convert

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
    """The 200 photographs that calibrated the bundled model: 20 of each rating bin."""
    photographs, labels = data / "biq2021/images", read_labels(data / "biq2021/labels.csv")
    draw = choose_calibration(sorted(photographs.glob("*")), labels=labels, per_bin=20)
    return load_draw(draw, checkpoint.preprocessing)[1].pixels


@pytest.fixture(scope="module")
def reference(checkpoint: Checkpoint, all_pixels: Any) -> Any:
    return checkpoint.predict(all_pixels)


@pytest.fixture(scope="module")
def verdict(reference: Any) -> Judge:
    """Agreement and verdict of a model's distributions on those photographs, all or every third."""

    def of(distributions: Any, every: int = EVERY) -> tuple[Agreement, Verdict]:
        agreement = measure_agreement(reference[::every], distributions)
        return agreement, judge(load_gate(), agreement, "OASIS photographs")

    return of


@pytest.fixture(scope="module")
def float16(checkpoint: Checkpoint) -> bytes:
    return convert(checkpoint, RECIPES["float16"])


@pytest.fixture(scope="module")
def properly_calibrated(
    checkpoint: Checkpoint, calibration: Any, all_pixels: Any, verdict: Judge
) -> tuple[Agreement, Verdict]:
    return verdict(score_pixels(convert(checkpoint, RECIPES[CALIBRATED], calibration), checkpoint, all_pixels), every=1)


@pytest.fixture(scope="module")
def calibrated(checkpoint: Checkpoint, pixels: Any) -> Callable[[Any], Any]:
    """What the model says when calibrated on these pixels."""

    def by(calibration: Any) -> Any:
        return score_pixels(convert(checkpoint, RECIPES[CALIBRATED], calibration), checkpoint, pixels)

    return by


def failed(verdict: Verdict) -> set[str]:
    return {failure.statistic for failure in verdict.failures}


def test_a_good_conversion_passes(float16: bytes, checkpoint: Checkpoint, pixels: Any, verdict: Judge) -> None:
    assert verdict(score_pixels(float16, checkpoint, pixels))[1].describe().startswith("passed (n=210")


def test_the_bundled_recipe_calibrated_properly_passes(properly_calibrated: tuple[Agreement, Verdict]) -> None:
    agreement, passed = properly_calibrated
    assert passed.describe().startswith("passed (n=629")
    said = load_model().card.agreement
    assert said is not None
    assert agreement.mae == pytest.approx(said["mae"], abs=0.002)  # the bundled model again, from the same photographs


def test_plain_int8_is_refused_however_it_is_calibrated(
    checkpoint: Checkpoint, calibration: Any, pixels: Any, verdict: Judge
) -> None:
    agreement, refused = verdict(score_pixels(convert(checkpoint, RECIPES["int8"], calibration), checkpoint, pixels))
    assert {"mae", "bias", "p99", "srcc", "flips"} <= failed(refused)
    assert agreement.mae > 0.05


def test_a_calibration_on_noise_is_refused_twice(
    calibrated: Callable[[Any], Any], calibration: Any, properly_calibrated: tuple[Agreement, Verdict], verdict: Judge
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (100, *calibration.shape[1:]), dtype=np.uint8)
    with pytest.raises(CalibrationError, match="noise"):
        check_pictures([str(i) for i in range(len(noise))], noise)
    agreement, refused = verdict(calibrated(noise[:40]))  # beneath that lint
    assert refused.status == "failed"
    assert {"mae", "p99", "srcc"} <= failed(refused)
    assert agreement.mae > 10 * properly_calibrated[0].mae  # plain int8: by a quarter only


def test_a_calibration_on_one_repeated_photograph_is_refused_twice(
    calibrated: Callable[[Any], Any], calibration: Any, properly_calibrated: tuple[Agreement, Verdict], verdict: Judge,
    checkpoint: Checkpoint, judged: list[Path],
) -> None:  # fmt: skip
    with pytest.raises(CalibrationError, match="1 different photograph"):
        check_calibration(load_inputs(judged[:1] * 100, checkpoint.preprocessing))
    agreement, refused = verdict(calibrated(np.repeat(calibration[:1], 40, axis=0)))  # beneath that lint
    assert refused.status == "failed"
    assert {"mae", "p99", "srcc"} <= failed(refused)
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
    assert {"mae", "p99", "srcc", "flips"} <= failed(refused)


def test_output_rounded_to_256ths_is_refused_where_nobody_divides_by_the_sum(
    float16: bytes, checkpoint: Checkpoint, pixels: Any, verdict: Judge
) -> None:
    rounded = np.round(score_pixels(float16, checkpoint, pixels) * 256) / 256
    agreement, divided = verdict(rounded)
    # The scorer divides, and then it costs .003 more: it does not hurt, and it is not refused.
    assert divided.status == "passed"
    assert 0.008 < agreement.mae < 0.015
    reference = mean_rating(checkpoint.predict(pixels))
    gap = rounded @ np.arange(1, 11) - reference  # what a client that takes the ten numbers as they come makes of them
    raw = replace(
        agreement, mae=float(np.abs(gap).mean()), bias=float(gap.mean()), p99=float(np.percentile(np.abs(gap), 99))
    )
    refused = judge(load_gate(), raw, "the same")
    assert refused.status == "failed"
    assert "mae" in failed(refused)

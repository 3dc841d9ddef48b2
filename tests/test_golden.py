"""The real weights on real photographs: known answers, and float32 TFLite against Keras. Needs the development data."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from conftest import skip_without
from edge_nima.decode import read_rgb
from edge_nima.distribution import mean_rating
from edge_nima.interpreter import Interpreter
from edge_nima.pixels import to_input
from edge_nima.scorer import open_scorer
from edge_nima_convert.recipes import Source
from edge_nima_train.checkpoint import Checkpoint, open_checkpoint

skip_without("tensorflow", "edge-nima[convert]")

KNOWN_MEAN = (
    4.23187  # of photograph 42040 with these weights: idealo/image-quality-assessment, Keras 2, load_img nearest
)


@pytest.fixture(scope="module")
def checkpoint(weights: Path) -> Checkpoint:
    return open_checkpoint(weights)


@pytest.fixture(scope="module")
def float32(checkpoint: Checkpoint) -> Interpreter:
    return Interpreter(Source(checkpoint).float32, checkpoint.preprocessing, threads=1)


def test_the_registry_knows_these_weights(checkpoint: Checkpoint) -> None:
    assert checkpoint.name == "idealo-mobilenet-aesthetic"
    assert checkpoint.stated == "the registry"
    assert checkpoint.licence == "Apache-2.0"
    assert checkpoint.preprocessing.longest_edge == 640


def test_photograph_42040_with_keras_and_float32(data: Path, checkpoint: Checkpoint, float32: Interpreter) -> None:
    pixels = to_input(read_rgb(data / "golden/images/42040.jpg"), checkpoint.preprocessing)
    keras = checkpoint.predict(pixels[None])[0]
    float32.pixels[...] = pixels
    assert float(mean_rating(keras)) == pytest.approx(KNOWN_MEAN, abs=0.0005)
    assert float(mean_rating(float32.run())) == pytest.approx(KNOWN_MEAN, abs=0.0005)


def test_photograph_42040_with_the_bundled_float16(data: Path) -> None:
    record = open_scorer("mobilenet-ava-float16").score(data / "golden/images/42040.jpg")
    assert record.mean == pytest.approx(KNOWN_MEAN, abs=0.02)


def test_photograph_42040_with_the_bundled_int8(data: Path) -> None:
    record = open_scorer().score(data / "golden/images/42040.jpg")
    assert record.mean == pytest.approx(KNOWN_MEAN, abs=0.06)  # the gate's p99


def test_float32_equals_keras_on_the_oasis_validation_photographs(
    data: Path, checkpoint: Checkpoint, float32: Interpreter
) -> None:
    with open(data / "oasis_beauty/labels.csv", newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["split"] == "val"]
    assert len(names) == 67
    pixels = np.stack(
        [to_input(read_rgb(data / "oasis_beauty/images" / name), checkpoint.preprocessing) for name in names]
    )
    keras = checkpoint.predict(pixels)
    largest = 0.0
    for picture, expected in zip(pixels, keras, strict=True):
        float32.pixels[...] = picture
        largest = max(largest, float(np.abs(float32.run() - expected).max()))
    assert largest < 1e-5
    assert np.ptp(mean_rating(keras)) > 1  # and these are different photographs, differently scored

"""The layer report, on the tiny network and on what is known of the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import skip_without
from edge_nima.errors import CalibrationError
from edge_nima_convert.checkpoint import Checkpoint, open_checkpoint
from edge_nima_convert.explain import explain_layers
from edge_nima_convert.photographs import load_inputs
from edge_nima_convert.recipes import RECIPES, convert

skip_without("tensorflow", "edge-nima[convert]")


@pytest.fixture(scope="module")
def tiny(tiny_keras: Path) -> Checkpoint:
    return open_checkpoint(tiny_keras, filter="bilinear", fit="stretch", input_range=(-1, 1))


@pytest.fixture(scope="module")
def calibration(tiny: Checkpoint, noise_photographs: Path) -> Any:
    return load_inputs(sorted(noise_photographs.iterdir()), tiny.preprocessing).pixels


def test_every_layer_is_told_with_what_it_costs(tiny: Checkpoint, calibration: Any) -> None:
    recipe = RECIPES["int8"]
    layers = explain_layers(tiny, recipe, calibration, model=convert(tiny, recipe, calibration))
    assert [layer.kind for layer in layers] == ["convolution", "depthwise convolution", "convolution"]
    assert len({layer.name for layer in layers}) == 3
    for layer in layers:
        assert layer.precision == "int8"
        assert layer.weight_snr_db is not None
        assert layer.mae is not None
        assert 30 < layer.weight_snr_db < 70  # eight bits
        assert 15 < layer.activation_snr_db < 70
        assert 0 < layer.mae < 0.5


def test_a_float_model_has_next_to_no_noise(tiny: Checkpoint, calibration: Any) -> None:
    layers = explain_layers(tiny, RECIPES["float32"], calibration, model=convert(tiny, RECIPES["float32"]))
    assert {layer.precision for layer in layers} == {"float32"}
    assert all(layer.activation_snr_db > 100 for layer in layers)


def test_without_photographs_it_says_what_to_give(tiny: Checkpoint) -> None:
    with pytest.raises(CalibrationError, match="--calibration PHOTOS"):
        explain_layers(tiny, RECIPES["int8"], None, model=b"")
    with pytest.raises(CalibrationError, match="--calibration PHOTOS"):
        explain_layers(tiny, RECIPES["int8"], np.zeros((0, 224, 224, 3), np.uint8), model=b"")


@pytest.mark.slow
def test_the_first_depthwise_layer_is_what_costs_idealos_weights_most(weights: Path, data: Path) -> None:
    checkpoint = open_checkpoint(weights)
    photographs = sorted((data / "biq2021/images").glob("*"))[::180]
    pixels = load_inputs(photographs, checkpoint.preprocessing).pixels
    model = convert(checkpoint, RECIPES["int8"], pixels)
    layers = explain_layers(checkpoint, RECIPES["int8"], pixels, model=model)
    assert len(layers) == 27
    costs = {layer.name: layer.mae or 0.0 for layer in layers}
    assert max(costs, key=lambda name: costs[name]) == "conv_dw_1"
    assert costs["conv_dw_1"] > 3 * sorted(costs.values())[-2]

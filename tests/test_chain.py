"""A chain read back from a .tflite is the network that went in, and what is no chain is refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import skip_without
from edge_nima.errors import CheckpointError
from edge_nima_convert.chain import Chain, Layer, read_chain
from edge_nima_convert.checkpoint import Checkpoint, open_checkpoint
from edge_nima_convert.recipes import RECIPES, convert

skip_without("tensorflow", "edge-nima[convert]")

SIDE = 32


def chain_of(checkpoint: Checkpoint) -> Chain:
    return read_chain(convert(checkpoint, RECIPES["float32"]))


def proportions(chain: Chain, pixels: Any) -> Any:
    """What the chain says of uint8 pixels, by its own float arithmetic."""
    told = []
    for x in chain.batches(pixels):
        for layer in chain.layers:
            x = layer(x)
        told.append(chain.proportions(x.mean((1, 2))))
    return np.concatenate(told)


@pytest.fixture(scope="module")
def keras() -> Any:
    import keras

    keras.utils.set_random_seed(3)
    return keras


@pytest.fixture(scope="module")
def opened(keras: Any, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Checkpoint]:
    """Saves a Keras model and opens it as a checkpoint."""
    folder = tmp_path_factory.mktemp("networks")

    def open_model(inputs: Any, outputs: Any, input_range: tuple[float, float] = (-1, 1)) -> Checkpoint:
        path = folder / f"net{len(list(folder.iterdir()))}.keras"
        keras.Model(inputs, outputs).save(path)
        return open_checkpoint(path, filter="bilinear", input_range=input_range)

    return open_model


def unsettled(keras: Any, x: Any, seed: int) -> Any:
    """Batch norm with statistics as of a trained network, without which folding it changes nothing."""
    random = keras.initializers.RandomUniform
    return keras.layers.BatchNormalization(
        gamma_initializer=random(0.5, 2, seed), beta_initializer=random(-1, 2, seed + 1),
        moving_mean_initializer=random(-0.5, 0.5, seed + 2), moving_variance_initializer=random(0.5, 2, seed + 3),
    )(x)  # fmt: skip


def mobile(keras: Any, channels: int = 8, side: int = SIDE) -> tuple[Any, Any]:
    """MobileNet in small: stem, two separable blocks, average, dense; returns input and last features."""
    layers = keras.layers
    given = x = layers.Input((side, side, 3))
    x = layers.Conv2D(channels, 3, 2, "same", use_bias=False, name="conv1")(x)
    x = layers.ReLU(6.0)(unsettled(keras, x, 10))
    for i, stride in enumerate((1, 2)):
        x = layers.DepthwiseConv2D(3, stride, "same", use_bias=False, name=f"conv_dw_{i}")(x)
        x = layers.ReLU(6.0)(unsettled(keras, x, 20 + 10 * i))
        x = layers.Conv2D(channels * (i + 2), 1, use_bias=False, name=f"conv_pw_{i}")(x)
        x = layers.ReLU(6.0)(unsettled(keras, x, 50 + 10 * i))
    return given, x


def head(keras: Any, x: Any) -> Any:
    return keras.layers.Dense(10, "softmax", kernel_initializer="he_normal")(keras.layers.GlobalAveragePooling2D()(x))


@pytest.fixture
def pixels() -> Any:
    return np.random.default_rng(4).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)


# What is read


def test_the_tiny_network_is_read_as_it_is(tiny_network: Any, tiny_keras: Path) -> None:
    chain = chain_of(open_checkpoint(tiny_keras, filter="bilinear", input_range=(-1, 1)))
    pixels = np.random.default_rng(1).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    expected = np.asarray(tiny_network(pixels / np.float32(127.5) - np.float32(1)))
    np.testing.assert_allclose(proportions(chain, pixels), expected, atol=1e-5)
    assert (chain.height, chain.width) == (224, 224)
    # Where nothing is padded the converter folds the input's zero into the first bias too.
    assert chain.zero == 0
    assert [(layer.depthwise, layer.stride, layer.same, layer.ceiling) for layer in chain.layers] == [
        (False, 4, False, np.inf),
        (True, 4, False, None),
        (False, 1, False, np.inf),
    ]
    assert chain.head.shape == (10, 16)


@pytest.mark.parametrize("input_range", [(-1, 1), (0, 1), (0, 255), (-2.1, 2.6)])
def test_folded_batch_norms_and_any_input_scaling_come_back(
    keras: Any, opened: Callable[..., Checkpoint], pixels: Any, input_range: tuple[float, float]
) -> None:
    given, x = mobile(keras)
    checkpoint = opened(given, head(keras, x), input_range)
    chain = chain_of(checkpoint)
    np.testing.assert_allclose(proportions(chain, pixels), checkpoint.predict(pixels), atol=1e-5)
    assert [layer.ceiling for layer in chain.layers] == [6.0] * 5
    assert [layer.name for layer in chain.layers] == ["conv1", "conv_dw_0", "conv_pw_0", "conv_dw_1", "conv_pw_1"]
    assert [layer.depthwise for layer in chain.layers] == [False, True, False, True, False]
    low, high = input_range
    assert chain.zero == pytest.approx(-low / (high - low) * 255, abs=1e-3)


def test_odd_sizes_bare_layers_and_a_missing_bias_come_back(
    keras: Any, opened: Callable[..., Checkpoint], pixels: Any
) -> None:
    layers = keras.layers
    given = x = layers.Input((33, 27, 3))
    x = layers.Conv2D(6, (5, 3), 2, "same", use_bias=False)(x)
    x = layers.Conv2D(7, 3, 2, "valid", activation="relu", bias_initializer="ones")(x)
    x = layers.DepthwiseConv2D(3, 2, "same", activation="relu6")(x)
    checkpoint = opened(given, head(keras, x))
    chain = chain_of(checkpoint)
    odd = np.random.default_rng(5).integers(0, 256, (4, 33, 27, 3), dtype=np.uint8)
    np.testing.assert_allclose(proportions(chain, odd), checkpoint.predict(odd), atol=1e-5)
    assert [layer.ceiling for layer in chain.layers] == [None, np.inf, 6.0]
    assert [layer.same for layer in chain.layers] == [True, False, True]
    assert not chain.layers[0].bias.any()
    assert len({layer.name for layer in chain.layers}) == 3


@pytest.mark.slow
def test_the_real_network_is_read_as_it_is(weights: Path) -> None:
    checkpoint = open_checkpoint(weights)
    chain = chain_of(checkpoint)
    pixels = np.random.default_rng(6).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    np.testing.assert_allclose(proportions(chain, pixels), checkpoint.predict(pixels), atol=1e-4)
    assert (len(chain.layers), chain.layers[0].name, chain.layers[-1].name) == (27, "conv1", "conv_pw_13")
    assert sum(chain.multiply_adds()) == 567_716_352  # MobileNet 1.0/224 has 569 million with its dense layer of 1000


# What is refused


def residual(keras: Any, x: Any) -> Any:
    again = keras.layers.Conv2D(x.shape[-1], 3, padding="same", activation="relu")(x)
    return head(keras, keras.layers.Add()([x, again]))


def side_by_side(keras: Any, x: Any) -> Any:
    paths = [keras.layers.Conv2D(4, 1, activation="relu")(x) for _ in range(2)]
    return head(keras, keras.layers.Concatenate()(paths))


def largest_of_picture(keras: Any, x: Any) -> Any:
    return keras.layers.Dense(10, "softmax")(keras.layers.GlobalMaxPooling2D()(x))


def two_dense(keras: Any, x: Any) -> Any:
    x = keras.layers.Dense(12, "relu")(keras.layers.GlobalAveragePooling2D()(x))
    return keras.layers.Dense(10, "softmax")(x)


def flattened(keras: Any, x: Any) -> Any:
    return keras.layers.Dense(10, "softmax")(keras.layers.Flatten()(x))


def pooled_between(keras: Any, x: Any) -> Any:
    return head(keras, keras.layers.MaxPooling2D()(x))


def multiplied(keras: Any, x: Any) -> Any:
    return head(keras, keras.layers.DepthwiseConv2D(3, depth_multiplier=2)(x))


def dilated(keras: Any, x: Any) -> Any:
    return head(keras, keras.layers.Conv2D(4, 3, dilation_rate=2)(x))


def squashed(keras: Any, x: Any) -> Any:
    return head(keras, keras.layers.Conv2D(4, 3, activation="sigmoid")(x))


def reshaped(keras: Any, x: Any) -> Any:
    side, channels = x.shape[1], x.shape[3]
    x = keras.layers.Reshape((side // 2, side * 2, channels))(x)
    return head(keras, keras.layers.Conv2D(4, 3, activation="relu")(x))


@pytest.mark.parametrize(
    ("ending", "operation"),
    [
        (residual, "a branch at ADD"),
        (side_by_side, "a branch at CONV_2D"),
        (largest_of_picture, "REDUCE_MAX"),
        (two_dense, "FULLY_CONNECTED"),
        (flattened, "(FULLY_CONNECTED|RESHAPE)"),
        (pooled_between, "MAX_POOL_2D"),
        (multiplied, "DEPTHWISE_CONV_2D"),
        (dilated, "CONV_2D"),
        (squashed, "LOGISTIC"),
        (reshaped, "RESHAPE"),
    ],
    ids=lambda what: getattr(what, "__name__", None),
)
def test_what_is_no_chain_is_refused_in_one_line_that_names_the_operation(
    keras: Any, opened: Callable[..., Checkpoint], ending: Callable[[Any, Any], Any], operation: str
) -> None:
    layers = keras.layers
    given = layers.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, 2, "same", activation="relu")(given)
    with pytest.raises(CheckpointError) as refused:
        chain_of(opened(given, ending(keras, x)))
    line = str(refused.value)
    assert "\n" not in line
    assert re.search(f"this network has {operation}[ .]", line)
    assert "--recipe int8, dynamic, float16, float32" in line


# Geometry


def layer_of(shape: tuple[int, ...], depthwise: bool, stride: int, same: bool, ceiling: float | None = 6.0) -> Layer:
    random = np.random.default_rng(sum(shape) + stride)
    out = shape[3] if depthwise else shape[0]
    weights, bias = (random.normal(0, 1, s).astype(np.float32) for s in (shape, (out,)))
    return Layer("it", depthwise, weights, bias, stride, same, ceiling)


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(8, 8), (9, 7), (7, 10)])
@pytest.mark.parametrize(
    ("shape", "depthwise"), [((5, 3, 3, 4), False), ((5, 1, 1, 4), False), ((1, 3, 3, 4), True), ((5, 2, 5, 4), False)]
)
def test_weights_times_samples_is_the_convolution(
    shape: tuple[int, ...], depthwise: bool, size: tuple[int, int], stride: int, same: bool
) -> None:
    layer = layer_of(shape, depthwise, stride, same, ceiling=None)
    x = np.random.default_rng(7).normal(0, 1, (2, *size, 4)).astype(np.float32)
    whole = layer(x)
    assert whole.shape[1:3] == layer.size_after(*size)
    places = int(np.prod(whole.shape[1:3]))
    positions = np.sort(np.random.default_rng(8).choice(places, min(places, 5), replace=False))
    samples = layer.samples(x, positions)
    assert samples.shape == (2 * len(positions), shape[1] * shape[2], 4)
    if depthwise:
        told = np.einsum("nkc,ck->nc", samples, layer.rows)
    else:
        told = samples.reshape(len(samples), -1) @ layer.rows.T
    there = whole.reshape(2, places, -1)[:, positions].reshape(len(samples), -1)
    np.testing.assert_allclose(told + layer.bias, there, atol=1e-4)


@pytest.mark.parametrize(("shape", "depthwise"), [((5, 3, 2, 4), False), ((1, 3, 2, 4), True)])
def test_rows_go_back_into_the_shape_of_the_weights(shape: tuple[int, ...], depthwise: bool) -> None:
    layer = layer_of(shape, depthwise, 1, True)
    assert layer.rows.shape == ((4, 6) if depthwise else (5, 24))
    np.testing.assert_array_equal(layer.shaped(layer.rows), layer.weights)


def test_activations() -> None:
    y = np.array([-1, 3, 9], np.float32)
    for ceiling, expected in ((None, [-1, 3, 9]), (np.inf, [0, 3, 9]), (6.0, [0, 3, 6])):
        np.testing.assert_array_equal(layer_of((1, 1, 1, 1), False, 1, True, ceiling).activate(y), expected)


def test_multiply_adds_by_hand() -> None:
    layers = (
        layer_of((8, 3, 3, 3), False, 2, True),  # 10 x 8 pixels become 5 x 4
        layer_of((1, 3, 3, 8), True, 1, False),  # and 3 x 2
        layer_of((16, 1, 1, 8), False, 2, True),  # and 2 x 1
    )
    chain = Chain(10, 8, 127.5, layers, np.zeros((10, 16), np.float32), np.zeros(10, np.float32))
    assert chain.multiply_adds() == [5 * 4 * 8 * 27, 3 * 2 * 8 * 9, 2 * 1 * 16 * 8]


def test_proportions_of_large_logits_are_no_nan() -> None:
    weights = np.zeros((10, 1), np.float32)
    weights[3], weights[7] = 1000, -1000
    told = Chain(8, 8, 0.0, (), weights, np.zeros(10, np.float32)).proportions(np.ones((2, 1), np.float32))
    np.testing.assert_allclose(told[:, 3], 1)
    np.testing.assert_allclose(told.sum(1), 1)

"""Chains, their correction, the files they become, and which layers stay in float."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import skip_without
from edge_nima.errors import CheckpointError
from edge_nima.interpreter import Interpreter
from edge_nima.pixels import Preprocessing
from edge_nima_convert.chain import Chain, Layer, read_chain
from edge_nima_convert.checkpoint import open_checkpoint
from edge_nima_convert.correct import LEVELS, MARGIN, MOST, STRONGEST, Corrected, correct, equalise, to_grid
from edge_nima_convert.mixed import ARM_BUDGET, arm_cost, costly_stem, mean_ratings, rounding_variance
from edge_nima_convert.recipes import CORRECTED, LADDER, RECIPES, convert
from edge_nima_convert.rounding import LIMIT, row_scales

skip_without("tensorflow", "edge-nima[convert]")

SIDE = 24
RATINGS = np.arange(1, 11)


def layer(
    random: np.random.Generator, shape: tuple[int, ...], *, depthwise: bool = False, stride: int = 1, same: bool = True,
    ceiling: float | None = 6.0, size: float = 0.3, uneven: float = 0.0,
) -> Layer:  # fmt: skip
    channels = shape[3] if depthwise else shape[0]
    gains = np.exp(random.normal(0, uneven, channels)).astype(np.float32) if uneven else np.ones(channels, np.float32)
    weights = random.normal(0, size, shape).astype(np.float32)
    weights *= gains if depthwise else gains[:, None, None, None]
    bias = (random.normal(1, 1, channels) * gains).astype(np.float32)
    return Layer(f"layer_{random.integers(1 << 40)}", depthwise, weights, bias, stride, same, ceiling)


@pytest.fixture(scope="module")
def chain() -> Chain:
    """ReLU6, and channels whose ranges differ a hundredfold after the first layer, as idealo's do."""
    random = np.random.default_rng(11)
    layers = [
        layer(random, (8, 3, 3, 3), stride=2, size=0.006),
        layer(random, (1, 3, 3, 8), depthwise=True),
        layer(random, (16, 1, 1, 8)),
        layer(random, (1, 3, 3, 16), depthwise=True, stride=2),
        layer(random, (24, 1, 1, 16)),
    ]
    # What the first layer makes small the second makes large again.
    quiet = np.geomspace(0.01, 1, 8).astype(np.float32)
    weights = layers[0].weights * quiet[:, None, None, None]
    layers[0] = replace(layers[0], weights=weights, bias=layers[0].bias * quiet)
    layers[1] = replace(layers[1], weights=layers[1].weights / quiet)
    head = random.normal(0, 0.3, (10, 24)).astype(np.float32)
    return Chain(SIDE, SIDE, 127.5, tuple(layers), head, random.normal(0, 0.1, 10).astype(np.float32))


@pytest.fixture(scope="module")
def pixels() -> Any:
    random = np.random.default_rng(12)
    coarse = random.integers(0, 256, (90, SIDE // 4, SIDE // 4, 3), dtype=np.uint8)
    return coarse.repeat(4, 1).repeat(4, 2)


def in_float(chain: Chain, pixels: Any) -> Any:
    x = np.concatenate(list(chain.batches(pixels)))
    for one in chain.layers:
        x = one(x)
    return chain.proportions(x.mean((1, 2)))


def by_interpreter(model: bytes, pixels: Any) -> Any:
    interpreter = Interpreter(model, Preprocessing(width=SIDE, height=SIDE), threads=1)
    said = []
    for picture in pixels:
        interpreter.pixels[...] = picture
        said.append(interpreter.run())
    return np.stack(said)


def rounded_to_nearest(chain: Chain, pixels: Any) -> Any:
    """Plain int8: weights to the nearest, one scale a channel; outputs on one grid a tensor."""
    x = list(chain.batches(pixels))
    for one in chain.layers:
        rows = one.rows
        scales = row_scales(rows, 1e-30)
        near = one.shaped(np.rint(rows / scales) * scales).astype(np.float32)
        _, x = to_grid([one.activate(one.linear(part, near) + one.bias) for part in x], one)
    return chain.proportions(np.concatenate([part.mean((1, 2)) for part in x]))


def mae(a: Any, b: Any) -> float:
    return float(np.abs((a - b) @ RATINGS).mean())


# Chains


@pytest.mark.parametrize("depthwise", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("size", [(9, 12), (11, 8)])
def test_samples_are_what_the_convolution_sees(depthwise: bool, stride: int, same: bool, size: tuple[int, int]) -> None:
    random = np.random.default_rng(1)
    shape = (1, 3, 3, 4) if depthwise else (5, 3, 3, 4)
    one = layer(random, shape, depthwise=depthwise, stride=stride, same=same)
    x = random.normal(size=(2, *size, 4)).astype(np.float32)
    out = one.linear(x)
    assert out.shape[1:3] == one.size_after(*size)
    places = np.arange(out.shape[1] * out.shape[2])
    seen = one.samples(x, places)
    rows = one.rows
    computed = np.einsum("nkc,ck->nc", seen, rows) if depthwise else seen.reshape(len(seen), -1) @ rows.T
    np.testing.assert_allclose(computed, out.reshape(-1, out.shape[3]), atol=1e-4)


def test_the_chain_of_a_checkpoint_says_what_the_checkpoint_says(tiny_keras: Path) -> None:
    checkpoint = open_checkpoint(tiny_keras, filter="bilinear", fit="stretch", input_range=(-1, 1))
    chain = read_chain(convert(checkpoint, RECIPES["float32"]))
    assert [one.depthwise for one in chain.layers] == [False, True, False]
    assert (chain.height, chain.width) == (224, 224)
    pixels = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), dtype=np.uint8)
    np.testing.assert_allclose(in_float(chain, pixels), checkpoint.predict(pixels), atol=1e-5)


def test_a_network_with_a_branch_is_refused_by_name(tmp_path: Path) -> None:
    import keras

    into = keras.layers.Input((224, 224, 3))
    x = keras.layers.Conv2D(8, 3, strides=8, padding="same", activation="relu6")(into)
    y = keras.layers.Conv2D(8, 3, padding="same", activation="relu6")(x)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Add()([x, y]))
    keras.Model(into, keras.layers.Dense(10, activation="softmax")(x)).save(tmp_path / "branch.keras")
    checkpoint = open_checkpoint(tmp_path / "branch.keras", filter="nearest", fit="stretch", input_range=(-1, 1))
    with pytest.raises(CheckpointError, match=r"this network has .*ADD.*--recipe int8"):
        convert(checkpoint, RECIPES["int8-corrected"], np.zeros((1, 224, 224, 3), np.uint8))


def test_multiply_adds_by_hand(chain: Chain) -> None:
    assert chain.multiply_adds() == [144 * 216, 144 * 72, 144 * 128, 36 * 144, 36 * 384]


# Correction


def test_equalising_leaves_what_the_network_says(chain: Chain, pixels: Any) -> None:
    even = equalise(chain, pixels[:40])
    np.testing.assert_allclose(in_float(even, pixels[:40]), in_float(chain, pixels[:40]), atol=1e-5)
    x = np.concatenate(list(even.batches(pixels[:40])))
    before = chain.layers[0](x).max((0, 1, 2))
    after = even.layers[0](x).max((0, 1, 2))
    live = before > 0.1
    assert live.sum() >= 5
    assert before[live].min() < 1  # there was room
    assert after[live].min() > 5
    assert after.max() <= 6


def test_correction_is_far_closer_than_rounding_each_layer_to_nearest(chain: Chain, pixels: Any) -> None:
    learnt, judged = pixels[:50], pixels[50:]
    truth = in_float(chain, judged)
    corrected = correct(chain, learnt)
    ours = mae(by_interpreter(corrected.to_tflite(), judged), truth)
    assert ours < 0.3 * mae(rounded_to_nearest(chain, judged), truth)
    assert ours < 0.02
    for one in corrected.integers:
        assert one.weights.dtype == np.int8
        assert np.abs(one.weights.astype(int)).max() <= LIMIT
    assert set(corrected.signal_to_noise) == {one.name for one in chain.layers}
    assert min(corrected.signal_to_noise.values()) > 20


@pytest.mark.parametrize("floats", [1, 2, 3])
def test_leading_layers_can_stay_in_float(chain: Chain, pixels: Any, floats: int) -> None:
    corrected = correct(chain, pixels[:50], floats)
    assert len(corrected.integers) == len(chain.layers) - floats
    truth = in_float(chain, pixels[50:])
    assert mae(by_interpreter(corrected.to_tflite(), pixels[50:]), truth) < 0.02


def test_the_same_seed_gives_the_same_file(chain: Chain, pixels: Any) -> None:
    assert correct(chain, pixels[:20]).to_tflite() == correct(chain, pixels[:20]).to_tflite()


def test_channels_that_are_never_active_do_no_harm(chain: Chain, pixels: Any) -> None:
    first = chain.layers[0]
    weights, bias = first.weights.copy(), first.bias.copy()
    weights[0], bias[0] = 0, -300.0  # dead
    weights[1], bias[1] = 1e-9, 2.0  # always the same
    spoilt = replace(chain, layers=(replace(first, weights=weights, bias=bias), *chain.layers[1:]))
    corrected = correct(spoilt, pixels[:50])
    assert mae(by_interpreter(corrected.to_tflite(), pixels[50:]), in_float(spoilt, pixels[50:])) < 0.02


def test_layers_without_a_rectifier_and_without_padding(pixels: Any) -> None:
    random = np.random.default_rng(3)
    layers = (
        layer(random, (6, 5, 5, 3), stride=2, same=False, ceiling=np.inf, size=0.004),
        layer(random, (1, 3, 3, 6), depthwise=True, same=False, ceiling=None),
        layer(random, (12, 1, 1, 6), ceiling=np.inf),
    )
    chain = Chain(SIDE, SIDE, 0.0, layers, random.normal(0, 0.2, (10, 12)).astype(np.float32), np.zeros(10, np.float32))
    corrected = correct(chain, pixels[:50])
    assert mae(by_interpreter(corrected.to_tflite(), pixels[50:]), in_float(chain, pixels[50:])) < 0.03


# Mixed


def test_arm_cost_by_hand(chain: Chain) -> None:
    counts = chain.multiply_adds()
    assert arm_cost(chain, 0) == 1
    assert arm_cost(chain, 5) == 3
    assert arm_cost(chain, 1) == pytest.approx(1 + 2 * counts[0] / sum(counts))


def test_a_stem_that_costs_more_than_the_budget_stays_in_integers(chain: Chain, pixels: Any) -> None:
    assert arm_cost(chain, 1) > 1.1
    assert costly_stem(chain, pixels) == 0


def test_a_stem_is_kept_in_float_where_its_rounding_is_what_costs(chain: Chain, pixels: Any) -> None:
    wide = np.random.default_rng(4)
    tail = [layer(wide, (400, 1, 1, 24)), layer(wide, (400, 1, 1, 400), size=0.05)]
    head = wide.normal(0, 0.05, (10, 400)).astype(np.float32)
    # Made loud by hand: small outputs of the first layer, enlarged by the second.
    first, second, *rest = chain.layers
    loud = (
        replace(first, weights=first.weights / 50, bias=first.bias / 50),
        replace(second, weights=second.weights * 50),
    )
    long = replace(chain, layers=(*loud, *rest, *tail), head=head)
    assert arm_cost(long, 2) < 1.1
    stem = costly_stem(long, pixels)
    share = rounding_variance(equalise(long, pixels[:64]), pixels[:64], range(max(stem, 2) - 1))
    whole = rounding_variance(equalise(long, pixels[:64]), pixels[:64])
    assert (stem >= 2) == (share >= 0.25 * whole)


def test_the_ladder_is_of_recipes_and_ends_in_float16() -> None:
    assert set(LADDER) <= set(RECIPES)
    assert set(CORRECTED) < set(LADDER)
    assert LADDER[0] == "int8"
    assert LADDER[-1] == "float16"


HEIGHT, WIDTH = 25, 22


def layer_of(
    random: np.random.Generator, name: str, shape: tuple[int, ...], stride: int = 1, *, depthwise: bool = False,
    same: bool = True, ceiling: float | None = 6.0, spread: float = 1.5,
) -> Layer:  # fmt: skip
    """A layer whose channels have very different ranges, as those that batch norms are folded into have."""
    out = shape[3] if depthwise else shape[0]
    gains = np.exp(random.normal(0, spread, out)).astype(np.float32)
    size = 1 / np.sqrt(np.prod(shape[1:3]) * (1 if depthwise else shape[3]))
    weights = random.normal(0, size, shape).astype(np.float32) * (gains if depthwise else gains[:, None, None, None])
    return Layer(
        name, depthwise, weights, (gains * random.normal(0.5, 0.5, out)).astype(np.float32), stride, same, ceiling
    )


def chain_of(layers: list[Layer], seed: int = 0, zero: float = 127.5) -> Chain:
    """Ends in a head that tells pictures apart; pixels come in at about -1..1."""
    random = np.random.default_rng(seed)
    first = replace(layers[0], weights=layers[0].weights / np.float32(64))
    last = len(layers[-1].bias)
    head = random.normal(0, 1 / np.sqrt(last), (10, last)).astype(np.float32)
    return Chain(HEIGHT, WIDTH, zero, (first, *layers[1:]), head, random.normal(0, 0.3, 10).astype(np.float32))


def badly_scaled(seed: int = 0, ceiling: float | None = 6.0) -> Chain:
    random = np.random.default_rng(seed)
    return chain_of(
        [
            layer_of(random, "first", (8, 3, 3, 3), 2, ceiling=ceiling),
            layer_of(random, "deep", (1, 3, 3, 8), depthwise=True, ceiling=ceiling),
            layer_of(random, "wide", (12, 1, 1, 8), ceiling=ceiling),
            layer_of(random, "deeper", (1, 3, 3, 12), 2, depthwise=True, ceiling=ceiling),
            layer_of(random, "last", (16, 1, 1, 12), ceiling=ceiling),
        ],
        seed,
    )


def pictures(n: int, seed: int, height: int = HEIGHT, width: int = WIDTH) -> Any:
    """Blotches of colour, brighter and darker."""
    random = np.random.default_rng(seed)
    coarse = random.normal(0, 45, (n, height // 4 + 1, width // 4 + 1, 3)) + random.uniform(60, 190, (n, 1, 1, 3))
    fine = coarse.repeat(4, 1).repeat(4, 2)[:, :height, :width] + random.normal(0, 8, (n, height, width, 3))
    return np.clip(fine, 0, 255).astype(np.uint8)


CALIBRATION, HELD_OUT = pictures(24, 1), pictures(40, 2)


def by_float(chain: Chain, pixels: Any) -> Any:
    told = []
    for x in chain.batches(pixels):
        for layer in chain.layers:
            x = layer(x)
        told.append(chain.proportions(x.mean((1, 2))))
    return np.concatenate(told)


def by_file(model: bytes, pixels: Any) -> Any:
    interpreter = Interpreter(model, Preprocessing(width=pixels.shape[2], height=pixels.shape[1]), threads=1)
    told = []
    for picture in pixels:
        interpreter.pixels[...] = picture
        told.append(interpreter.run())
    return np.stack(told)


def by_arithmetic(corrected: Corrected, pixels: Any) -> Any:
    """What the integers say when it is written out: the definition that the file has to meet."""
    chain, told = corrected.chain, []
    for batch in chain.batches(pixels):
        scale, zero_point = corrected.first
        if corrected.floats:
            x = batch
            for layer in corrected.floats:
                x = layer(x)
            x = (np.clip(np.rint(x / scale) + zero_point, -128, 127) - zero_point) * scale
        else:
            x = batch + np.float32(chain.zero - corrected.zero)
        for one in corrected.integers:
            real = one.layer.shaped(rows_of(one)).astype(np.float32)
            y = one.layer.activate(one.layer.linear(x.astype(np.float32), real) + one.bias * one.scales * scale)
            x = (np.clip(np.rint(y / one.out_scale) + one.out_zero, -128, 127) - one.out_zero) * one.out_scale
            scale = one.out_scale
        told.append(chain.proportions(x.mean((1, 2))))
    return np.concatenate(told)


def rows_of(one: Any) -> Any:
    return replace(one.layer, weights=one.weights).rows * one.scales[:, None]


# Equalising, on chains whose channels are badly scaled


@pytest.mark.parametrize("ceiling", [6.0, np.inf])
@pytest.mark.parametrize("seed", range(3))
def test_equalising_leaves_the_function_alone_on_what_it_saw(seed: int, ceiling: float) -> None:
    chain = badly_scaled(seed, ceiling)
    even = equalise(chain, CALIBRATION)
    np.testing.assert_allclose(by_float(even, CALIBRATION), by_float(chain, CALIBRATION), atol=1e-4)
    assert any(np.abs(a.bias - b.bias).max() > 0.1 for a, b in zip(even.layers, chain.layers, strict=True))


def tops(chain: Chain, pixels: Any) -> list[Any]:
    """Each channel's largest activation, layer by layer."""
    found = []
    (x,) = [np.concatenate(list(chain.batches(pixels)))]
    for layer in chain.layers:
        x = layer(x)
        found.append(x.max((0, 1, 2)))
    return found


def test_equalised_channels_reach_alike_and_below_the_ceiling() -> None:
    chain = badly_scaled()
    before, after = tops(chain, CALIBRATION), tops(equalise(chain, CALIBRATION), CALIBRATION)
    for was, is_now in zip(before, after, strict=True):
        live = (was > 6 / MARGIN / STRONGEST * 1.01) & (was < 6 / MARGIN)
        assert is_now.max() <= 6 + 1e-5
        np.testing.assert_allclose(is_now[live], 6 / MARGIN, rtol=1e-3)  # upwards, with a margin
        np.testing.assert_allclose(is_now[was >= 6 / MARGIN], was[was >= 6 / MARGIN], rtol=1e-3)
        assert np.all(is_now[was > 0] <= was[was > 0] * STRONGEST * 1.001)


def test_layers_that_do_not_rectify_are_not_scaled() -> None:
    random = np.random.default_rng(3)
    chain = chain_of([layer_of(random, "a", (4, 3, 3, 3), ceiling=None), layer_of(random, "b", (4, 1, 1, 4))])
    even = equalise(chain, CALIBRATION)
    np.testing.assert_array_equal(even.layers[0].weights, chain.layers[0].weights)
    np.testing.assert_allclose(by_float(even, CALIBRATION), by_float(chain, CALIBRATION), atol=1e-4)


# Correcting: what the file says


@pytest.fixture(scope="module", params=[0, 1, 2])
def corrected(request: pytest.FixtureRequest) -> tuple[int, Chain, Corrected]:
    """With 0, 1 and 2 leading layers in float."""
    chain = badly_scaled()
    return request.param, chain, correct(chain, CALIBRATION, request.param)


def test_the_file_is_close_to_float_on_pictures_that_it_never_saw(corrected: tuple[int, Chain, Corrected]) -> None:
    _, chain, made = corrected
    told, exact = by_file(made.to_tflite(), HELD_OUT), by_float(chain, HELD_OUT)
    np.testing.assert_allclose(told.sum(1), 1, atol=1e-5)
    assert mae(told, exact) < 0.05 * float((exact @ RATINGS).std())


def test_the_file_computes_what_the_integers_say(corrected: tuple[int, Chain, Corrected]) -> None:
    # A sum that lies on the edge between two integers may fall either way.
    _, _, made = corrected
    np.testing.assert_allclose(by_file(made.to_tflite(), HELD_OUT), by_arithmetic(made, HELD_OUT), atol=2e-3)


def test_what_is_left_in_float_is_float(corrected: tuple[int, Chain, Corrected]) -> None:
    floats, chain, made = corrected
    assert len(made.floats) == floats
    assert [one.layer.name for one in made.integers] == [layer.name for layer in chain.layers[floats:]]
    assert list(made.signal_to_noise) == [layer.name for layer in chain.layers[floats:]]
    assert min(made.signal_to_noise.values()) > 20
    for one in made.integers:
        assert one.weights.dtype == np.int8
        assert one.weights.min() >= -127
        assert one.weights.shape == one.layer.weights.shape
        assert np.all(one.scales > 0)
        assert np.abs(one.bias).max() < 2**30
        assert -128 <= one.out_zero <= 127


@pytest.mark.parametrize("zero", [0.0, 127.5, 103.94])
@pytest.mark.parametrize("ceiling", [None, np.inf, 6.0])
def test_any_input_zero_any_activation_odd_sizes_and_no_padding(zero: float, ceiling: float | None) -> None:
    random = np.random.default_rng(5)
    chain = chain_of(
        [
            layer_of(random, "a", (6, 3, 5, 3), 2, same=False, ceiling=ceiling, spread=0.5),
            layer_of(random, "b", (1, 3, 3, 6), 2, depthwise=True, ceiling=ceiling, spread=0.5),
            layer_of(random, "c", (9, 2, 2, 6), 1, ceiling=ceiling, spread=0.5),
        ],
        zero=zero,
    )
    made = correct(chain, CALIBRATION)
    told, exact = by_file(made.to_tflite(), HELD_OUT), by_float(chain, HELD_OUT)
    assert mae(told, exact) < 0.05 * float((exact @ RATINGS).std())


def with_a_still_channel(chain: Chain, which: int, bias: float) -> Chain:
    """A layer's channel 3 without weights: it says `bias` of every picture, or 0, or the ceiling."""
    layers = list(chain.layers)
    layer = layers[which]
    weights, biases = layer.weights.copy(), layer.bias.copy()
    weights[(..., 3) if layer.depthwise else 3] = 0
    biases[3] = bias
    layers[which] = replace(layer, weights=weights, bias=biases)
    return replace(chain, layers=tuple(layers))


@pytest.mark.parametrize(
    "bias",
    [
        -5.0,
        -1000.0,
        3.0,
        1000.0,
        -1e5,
    ],
)
def test_channels_that_never_move_cost_the_others_nothing(bias: float) -> None:
    for which in range(3):
        still = with_a_still_channel(badly_scaled(), which, bias)
        told, exact = by_file(correct(still, CALIBRATION).to_tflite(), HELD_OUT), by_float(still, HELD_OUT)
        assert np.isfinite(told).all()
        assert mae(told, exact) < 0.05 * float((exact @ RATINGS).std()), which


def test_of_many_photographs_evenly_spaced_ones_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST >= 200
    monkeypatch.setattr("edge_nima_convert.correct.MOST", 6)
    chain = badly_scaled(1)
    spaced = CALIBRATION[np.linspace(0, 23, 6).astype(int)]
    assert correct(chain, CALIBRATION).to_tflite() == correct(chain, spaced).to_tflite()


def test_progress_goes_layer_by_layer() -> None:
    told: list[tuple[str, int, int, str]] = []
    correct(badly_scaled(1), CALIBRATION[:4], 1, progress=lambda *what: told.append(what))
    assert [(stage, done, total) for stage, done, total, _ in told] == [
        ("equalising", 0, 5), *(("correcting", i, 5) for i in range(2, 6)),
    ]  # fmt: skip
    assert told[-1][3].startswith("last ")
    assert told[-1][3].endswith(" dB")


# The grid of an output


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (-3.0, 5.0),
        (0.5, 4.0),
        (-5.0, -1.0),
        (0.0, 0.0),
    ],
)
def test_a_grid_covers_what_it_was_made_of(low: float, high: float) -> None:
    values = [np.linspace(low, high, 50, dtype=np.float32).reshape(1, 5, 10, 1)]
    linear = layer_of(np.random.default_rng(0), "a", (1, 1, 1, 1), ceiling=None)
    (scale, zero_point), on_grid = to_grid(values, linear)
    assert -128 <= zero_point <= 127
    assert np.abs(on_grid[0] - values[0]).max() <= scale * 0.51 + 1e-6
    assert np.abs(np.rint(on_grid[0] / scale) - on_grid[0] / scale).max() < 1e-2  # 0 is on it: padding is exact


def test_a_rectified_grid_has_room_above_but_never_beyond_the_ceiling() -> None:
    layer = layer_of(np.random.default_rng(0), "a", (1, 1, 1, 1))
    for top, expected in ((2.0, 2.0 * MARGIN), (5.9, 6.0)):
        (scale, zero_point), _ = to_grid([np.full((1, 2, 2, 1), top, np.float32)], layer)
        assert scale * LEVELS == pytest.approx(expected, rel=1e-5)
        assert zero_point == -128


# Against plain int8


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A checkpoint of a small MobileNet whose channels are as unlike as batch norms leave them."""
    import keras

    keras.utils.set_random_seed(5)
    random, layers = np.random.default_rng(5), keras.layers
    given = x = layers.Input((32, 32, 3))
    for i, (stride, channels) in enumerate(((2, 8), (1, 12), (2, 16))):
        deep = layers.DepthwiseConv2D(3, stride, "same", name=f"dw_{i}") if i else None
        for layer in (deep, layers.Conv2D(channels, 1 if i else 3, 1 if i else stride, "same", name=f"pw_{i}")):
            if layer is not None:
                x = layers.ReLU(6.0)(layer(x))
    x = layers.Dense(10, "softmax", name="head")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(given, x)
    for layer in model.layers:
        if layer.name.startswith(("dw", "pw")):
            weights, bias = layer.get_weights()
            gains = np.exp(random.normal(0, 1.5, len(bias)))
            scaled = weights * (gains[:, None] if layer.name.startswith("dw") else gains) * 1.5
            layer.set_weights([scaled, gains * random.normal(0.4, 0.3, len(bias))])
    path = tmp_path_factory.mktemp("network") / "small.keras"
    model.save(path)
    return open_checkpoint(path, filter="bilinear", input_range=(-1, 1))


def test_corrected_is_closer_to_float_than_plain_int8_and_mixed_no_worse(network: Any) -> None:
    seen, unseen = pictures(30, 3, 32, 32), pictures(60, 4, 32, 32)
    exact = network.predict(unseen)
    plain, ours = (
        mae(by_file(convert(network, RECIPES[name], seen), unseen), exact) for name in ("int8", "int8-corrected")
    )
    assert ours < 0.5 * plain
    chain = read_chain(convert(network, RECIPES["float32"]))
    longer = mae(by_file(correct(chain, seen, floats=2).to_tflite(), unseen), exact)
    assert longer < plain


def test_corrected_is_closer_than_plain_int8_on_the_tiny_network(tiny_keras: Path) -> None:
    checkpoint = open_checkpoint(tiny_keras, filter="bilinear", input_range=(-1, 1))
    seen, unseen = pictures(12, 5, 224, 224), pictures(24, 6, 224, 224)
    exact = checkpoint.predict(unseen)
    plain, ours = (
        mae(by_file(convert(checkpoint, RECIPES[name], seen), unseen), exact) for name in ("int8", "int8-corrected")
    )
    assert ours < plain


# The file


def test_the_file_is_of_operations_that_every_runtime_has(corrected: tuple[int, Chain, Corrected]) -> None:
    from ai_edge_litert import schema_py_generated as schema

    floats, chain, made = corrected
    model = schema.ModelT.InitFromPackedBuf(made.to_tflite(), 0)
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if isinstance(value, int)}
    graph = model.subgraphs[0]
    ops = [names[model.operatorCodes[op.opcodeIndex].builtinCode] for op in graph.operators]
    convolutions = ["DEPTHWISE_CONV_2D" if layer.depthwise else "CONV_2D" for layer in chain.layers]
    entrance = ["CAST", "SUB", *convolutions[:floats], "QUANTIZE"] if floats else ["QUANTIZE"]
    assert ops == [*entrance, *convolutions[floats:], "DEQUANTIZE", "MEAN", "FULLY_CONNECTED", "SOFTMAX"]
    given, told = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]]
    assert (list(given.shape), given.type) == ([1, HEIGHT, WIDTH, 3], schema.TensorType.UINT8)
    assert (list(told.shape), told.type) == ([1, 10], schema.TensorType.FLOAT32)
    for op, name in zip(graph.operators, ops, strict=True):
        if name.endswith("CONV_2D"):
            x, w, b = (graph.tensors[i] for i in op.inputs)
            if w.type == schema.TensorType.INT8:  # LiteRT refuses a bias whose scale is not that of input times weights
                np.testing.assert_allclose(
                    b.quantization.scale, x.quantization.scale[0] * w.quantization.scale, rtol=1e-6
                )
                assert w.quantization.quantizedDimension == (3 if name.startswith("DEPTH") else 0)
                assert not np.any(w.quantization.zeroPoint)


# The leading layers


def narrow(late: bool) -> Chain:
    """A cheap stem of two small layers before a costly third; one of them, not rectified, is rounded coarsely.

    Not rectified, so that nothing evens its channels out: one is 4,000 times as large as those that count.
    """
    random = np.random.default_rng(7)
    stem = [layer_of(random, name, (3, 1, 1, 3), spread=0.1, ceiling=np.inf) for name in ("a", "b")]
    costly = layer_of(random, "c", (8, 3, 3, 3), spread=0.1, ceiling=np.inf)
    layers = [*stem, costly, layer_of(random, "d", (10, 3, 3, 8), spread=0.1, ceiling=np.inf)]
    at = 3 if late else 0
    loud = layers[at].weights.copy()
    loud[-1] *= 4000
    layers[at] = replace(layers[at], weights=loud, ceiling=None)
    chain = chain_of(layers)
    if late:
        chain.head[:, -1] = 0
    else:
        chain.layers[1].weights[..., -1] = 0
    return chain


def test_a_stem_whose_rounding_costs_the_score_stays_in_float() -> None:
    assert costly_stem(narrow(late=False), CALIBRATION) == 2
    assert arm_cost(narrow(late=False), 2) <= ARM_BUDGET < arm_cost(narrow(late=False), 3)


def test_a_stem_that_costs_little_is_rounded() -> None:
    assert costly_stem(narrow(late=True), CALIBRATION) == 0


def test_a_stem_of_one_layer_spares_no_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_nima_convert.mixed.ARM_BUDGET", arm_cost(narrow(late=False), 1))
    assert costly_stem(narrow(late=False), CALIBRATION) == 0


def test_rounding_no_layer_costs_nothing_and_each_its_share() -> None:
    chain = badly_scaled()
    assert rounding_variance(chain, CALIBRATION, range(0)) == 0
    alone = [rounding_variance(chain, CALIBRATION, range(i, i + 1)) for i in range(5)]
    assert min(alone) > 0
    assert rounding_variance(chain, CALIBRATION) == pytest.approx(sum(alone), rel=0.8)


def test_mean_ratings_are_those_of_the_proportions() -> None:
    chain = badly_scaled()
    features = []
    for x in chain.batches(CALIBRATION):
        for layer in chain.layers:
            x = layer(x)
        features.append(x)
    np.testing.assert_allclose(mean_ratings(chain, features), by_float(chain, CALIBRATION) @ RATINGS, rtol=1e-6)


@pytest.mark.parametrize("late", [False, True])
def test_the_mixed_recipe_is_the_corrected_one_with_that_stem(late: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_nima_convert import recipes

    chain = narrow(late)
    monkeypatch.setattr(recipes, "read_chain", lambda model: chain)
    monkeypatch.setattr(recipes, "_by_tensorflow", lambda *_: b"")
    made: Callable[[str], bytes] = lambda name: convert(object(), RECIPES[name], CALIBRATION)  # type: ignore[arg-type]  # noqa: E731
    assert made("int8-mixed") == correct(chain, CALIBRATION, costly_stem(chain, CALIBRATION)).to_tflite()
    assert (made("int8-mixed") == made("int8-corrected")) == late

"""Checkpoints as people have them: each scores as Keras itself does, or is refused in a line that says what to type."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import skip_without
from edge_nima import cli
from edge_nima.distribution import mean_rating
from edge_nima.errors import CheckpointError, RequestError
from edge_nima.pixels import read_input
from edge_nima.scorer import load_model, open_scorer
from edge_nima_train.checkpoint import Checkpoint, open_checkpoint
from edge_nima_train.network import layers_of, set_weights

skip_without("tensorflow", "edge-nima[convert]")

PICTURE = np.random.default_rng(5).integers(0, 256, (224, 224, 3), dtype=np.uint8)
RAW, SCALED = (0, 255), (-1, 1)


def base(architecture: str = "MobileNet", x: Any = None, size: int | None = 224, **more: Any) -> Any:
    import keras

    if architecture == "MobileNet":
        more = {"alpha": 0.25, **more}
    where = {"input_tensor": x} if x is not None else {"input_shape": (size, size, 3)}
    return getattr(keras.applications, architecture)(
        **where, include_top=False, weights=None, **{"pooling": "avg", **more}
    )


def flat(architecture: str = "MobileNet", before: Any = None, size: int | None = 224, **more: Any) -> Any:
    """Lively weights: with fresh ones every picture has the same score."""
    import keras

    first = keras.Input((size, size, 3))
    inside = base(architecture, before(first) if before else first, **more)
    return lively(keras.Model(first, head(inside.output)))


def head(x: Any) -> Any:
    import keras

    return keras.layers.Dense(10, activation="softmax")(keras.layers.Dropout(0.75)(x))


def nested(architecture: str = "MobileNet", **more: Any) -> Any:
    import keras

    layers = [base(architecture, **more), keras.layers.Dropout(0.75), keras.layers.Dense(10, activation="softmax")]
    return lively(keras.Sequential(layers))


def lively(network: Any) -> Any:
    random = np.random.default_rng(1)
    for layer in layers_of(network):
        if type(layer).__name__ == "Normalization":
            continue
        made = []
        for weight in layer.weights:
            shape, name = tuple(weight.shape), weight.name
            fan = shape[0] * shape[1] if "Depthwise" in type(layer).__name__ else np.prod(shape[:-1])
            noise = random.standard_normal(shape)
            if len(shape) > 1:
                noise *= np.sqrt(2 / fan)
            else:
                noise = noise * 0.1 + (name in ("gamma", "moving_variance"))
            made.append(np.abs(noise) if name == "moving_variance" else noise)
        layer.set_weights(made)
    return network


def keras_says(network: Any, pixels: Any = PICTURE, low: float = -1, high: float = 1) -> Any:
    """What a model's own call says of a picture whose pixels are brought to `low`..`high`."""
    x = pixels.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)
    return np.asarray(network(x[None], training=False))[0]


def agrees(checkpoint: Checkpoint, expected: Any) -> None:
    how = checkpoint.preprocessing
    pixels = PICTURE if (how.height, how.width) == PICTURE.shape[:2] else sized(how.height)
    np.testing.assert_allclose(checkpoint.predict(pixels[None])[0], expected, atol=2e-6)
    assert np.ptp(expected) > 0.01


def sized(side: int) -> Any:
    return np.asarray(Image.fromarray(PICTURE).resize((side, side), Image.Resampling.NEAREST))


# --- whole models ------------------------------------------------------------------------------------------------


def small(*before: Any, size: int | None = 64, activation: str = "silu") -> Any:
    import keras

    layers = keras.layers
    first = x = keras.Input((size, size, 3))
    for layer in before:
        x = layer(x)
    x = layers.Conv2D(8, 3, strides=2, activation=activation)(x)
    return lively(keras.Model(first, layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))))


EXHAUSTIVE = [pytest.mark.slow, pytest.mark.exhaustive]
"""For the rest of a product of parameters of which the default run has each value once."""


@pytest.mark.parametrize("ending", [pytest.param(".h5", marks=EXHAUSTIVE), ".keras"])
@pytest.mark.parametrize(
    "made",
    [
        flat,
        nested,
        lambda: flat(pooling="max"),
        lambda: flat(size=160),
        lambda: small(activation="swish"),
        lambda: nested("MobileNetV2", alpha=0.35),
    ],
    ids=["flat", "nested", "max pooling", "160", "swish", "V2"],
)
def test_a_whole_model_is_its_own_architecture(made: Callable[[], Any], ending: str, tmp_path: Path) -> None:
    network = made()
    network.save(tmp_path / f"whole{ending}")
    checkpoint = open_checkpoint(tmp_path / f"whole{ending}")
    side = network.input_shape[1]
    agrees(checkpoint, keras_says(network, sized(side)))
    assert (checkpoint.preprocessing.width, checkpoint.stated) == (side, "assumed")


def test_what_a_file_is_it_says_itself(tmp_path: Path) -> None:
    network = small()
    network.save(tmp_path / "a.h5")
    network.save(tmp_path / "b.keras")
    expected = keras_says(network, sized(64))
    for source, name in (("a.h5", "hdf5.keras"), ("b.keras", "archive.h5"), ("a.h5", "no-ending")):
        shutil.copy(tmp_path / source, tmp_path / name)
        agrees(open_checkpoint(tmp_path / name), expected)


def test_an_output_in_a_list_or_dictionary_is_taken_out(tmp_path: Path) -> None:
    import keras

    inside = small()
    for number, outputs in enumerate(([inside.output], {"quality": inside.output})):
        keras.Model(inside.input, outputs).save(tmp_path / f"{number}.keras")
        checkpoint = open_checkpoint(tmp_path / f"{number}.keras")
        agrees(checkpoint, keras_says(inside, sized(64)))
        assert tuple(checkpoint.call(np.zeros((1, 64, 64, 3), np.float32)).shape) == (1, 10)


@pytest.mark.parametrize(
    ("policy", "ending"),
    [
        ("mixed_float16", ".keras"), ("mixed_bfloat16", ".h5"),
        pytest.param("mixed_float16", ".h5", marks=EXHAUSTIVE),
        pytest.param("mixed_bfloat16", ".keras", marks=EXHAUSTIVE),
    ],
)  # fmt: skip
def test_half_precision_is_taken_in_float32(policy: str, ending: str, tmp_path: Path) -> None:
    import keras

    expected = keras_says(nested())
    keras.config.set_dtype_policy(policy)
    try:
        nested().save(tmp_path / f"half{ending}")
        checkpoint = open_checkpoint(tmp_path / f"half{ending}")
    finally:
        keras.config.set_dtype_policy("float32")
    agrees(checkpoint, expected)
    assert any("half precision" in note for note in checkpoint.notes)


def test_an_input_of_any_size_asks_for_one(tmp_path: Path) -> None:
    network = flat(size=None)
    network.save(tmp_path / "any.keras")
    with pytest.raises(RequestError, match="--size 224"):
        open_checkpoint(tmp_path / "any.keras")
    checkpoint = open_checkpoint(tmp_path / "any.keras", size=96)
    agrees(checkpoint, keras_says(network, sized(96)))
    small().save(tmp_path / "64.keras")
    with pytest.raises(RequestError, match=r"--size 96 does not fit .*64x64"):
        open_checkpoint(tmp_path / "64.keras", size=96)


# --- models that scale their own pixels --------------------------------------------------------------------------


def rescaling(scale: float, offset: float = 0.0) -> Any:
    import keras

    return keras.layers.Rescaling(scale, offset)


def normalization(mean: float, deviation: float) -> Any:
    import keras

    return keras.layers.Normalization(mean=[mean] * 3, variance=[deviation**2] * 3)


def steps(*layers: Any) -> Any:
    def before(x: Any) -> Any:
        for layer in layers:
            x = layer(x)
        return x

    return before


OWN: dict[str, tuple[Callable[[], Any], str]] = {
    "255": (lambda: small(rescaling(1 / 255)), "rescaling"),
    "127.5": (lambda: small(rescaling(1 / 127.5, -1)), "rescaling"),
    "ImageNet": (lambda: small(rescaling(1 / 255), normalization(0.45, 0.225)), "rescaling, normalization"),
    "of pixels": (lambda: small(normalization(118, 57)), "normalization"),
    "operations": (lambda: small(lambda x: x / 127.5 - 1), "true divide, subtract"),
    "nested": (lambda: nested("MobileNetV3Small"), "rescaling"),
    "EfficientNet": (lambda: flat("EfficientNetB0"), "rescaling, normalization"),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.slow) if kind == "EfficientNet" else kind for kind in OWN]
)
def test_a_model_that_scales_its_own_pixels_is_recognised(kind: str, tmp_path: Path) -> None:
    make, words = OWN[kind]
    network = make()
    network.save(tmp_path / "own.keras")
    checkpoint = open_checkpoint(tmp_path / "own.keras")
    assert (checkpoint.preprocessing.scale, checkpoint.preprocessing.offset, checkpoint.stated) == (1, 0, "the model")
    assert (checkpoint.source["preprocessing_stated_by"], checkpoint.source["scales_pixels_by"]) == ("the model", words)
    assert "scales its own pixels" in checkpoint.notes[0]
    pictures = [read_input(probe.picture, checkpoint.preprocessing) for probe in load_model().card.probes]
    own = np.asarray(network.predict(np.stack(pictures).astype(np.float32), verbose=0))
    np.testing.assert_allclose(checkpoint.predict(np.stack(pictures)), own, atol=2e-6)


def test_augmentation_and_resizing_are_no_scaling(tmp_path: Path) -> None:
    import keras

    network = small(keras.layers.RandomFlip("horizontal"), keras.layers.Resizing(48, 48))
    network.save(tmp_path / "moved.keras")
    checkpoint = open_checkpoint(tmp_path / "moved.keras")
    agrees(checkpoint, keras_says(network, sized(64)))
    assert checkpoint.stated == "assumed"


@pytest.mark.parametrize("kind", ["0..1 to -1..1", "deviations of 0..1", "lambda"])
def test_what_cannot_be_known_is_asked_for(kind: str, tmp_path: Path) -> None:
    import keras

    network, custom = {
        "0..1 to -1..1": lambda: (small(rescaling(2, -1)), None),
        "deviations of 0..1": lambda: (small(normalization(0.45, 0.225)), None),
        "lambda": lambda: (small(keras.layers.Lambda(lambda x: x * 2 - 1)), "file"),
    }[kind]()
    network.save(tmp_path / "own.keras")
    with pytest.raises(RequestError, match="--input-range=0,255 or =0,1"):
        open_checkpoint(tmp_path / "own.keras", custom=custom)
    checkpoint = open_checkpoint(tmp_path / "own.keras", custom=custom, input_range=(0, 1))
    agrees(checkpoint, keras_says(network, sized(64), 0, 1))


def test_a_stated_input_range_wins_and_that_is_said(tmp_path: Path) -> None:
    network = small(rescaling(1 / 255))
    network.save(tmp_path / "own.keras")
    checkpoint = open_checkpoint(tmp_path / "own.keras", input_range=SCALED)
    agrees(checkpoint, keras_says(network, sized(64)))
    assert "taking pixels as -1..1, as you say; the model itself scales 0..255 (rescaling)" in checkpoint.notes


# --- code in the file --------------------------------------------------------------------------------------------


def test_code_inside_a_model_runs_only_when_asked_for(tmp_path: Path) -> None:
    import keras

    network = small(keras.layers.Lambda(lambda x: x / 127.5 - 1, name="scale"))
    for name in ("code.keras", "code.h5"):
        network.save(tmp_path / name)
        with pytest.raises(CheckpointError, match=r"has Lambda layers: code.*--custom file"):
            open_checkpoint(tmp_path / name)
        checkpoint = open_checkpoint(tmp_path / name, custom="file", input_range=RAW)
        agrees(checkpoint, keras_says(network, sized(64), *RAW))
        assert "running the code" in checkpoint.notes[0]


def test_a_layer_of_ones_own_is_named_and_its_module_is_run(tmp_path: Path) -> None:
    code = (
        "import keras\n@keras.saving.register_keras_serializable('mine')\nclass Double(keras.layers.Layer):\n"
        "    def call(self, x):\n        return x * 2\n"
    )
    (tmp_path / "mine.py").write_text(code)
    make = (
        "import keras, sys; sys.path.insert(0, '.'); from mine import Double; L = keras.layers\n"
        "keras.Sequential([L.Input((64, 64, 3)), Double(), L.GlobalAveragePooling2D(), L.Dense(10, 'softmax')])"
        ".save('own.keras')"
    )
    subprocess.run([sys.executable, "-c", make], cwd=tmp_path, check=True, capture_output=True)
    with pytest.raises(CheckpointError, match=r"needs Double, .*--custom FILE\.py"):
        open_checkpoint(tmp_path / "own.keras")
    assert open_checkpoint(tmp_path / "own.keras", custom=str(tmp_path / "mine.py")).predict(sized(64)[None]).shape == (
        1,
        10,
    )
    with pytest.raises(RequestError, match="cannot be run: No module named 'nowhere'"):
        open_checkpoint(tmp_path / "own.keras", custom="nowhere")


# --- weights alone -----------------------------------------------------------------------------------------------

WEIGHTS: dict[str, Callable[[Callable[..., Any]], Any]] = {
    "MobileNet 0.5": lambda make: make(alpha=0.5),
    "MobileNet 0.25": lambda make: make(),
    "V2": lambda make: make("MobileNetV2", alpha=0.5),
    "V3Small": lambda make: make("MobileNetV3Small", include_preprocessing=False),
    "V3Large": lambda make: make("MobileNetV3Large", include_preprocessing=False),
    "EfficientNetB0": lambda make: make("EfficientNetB0"),
}


def legacy_weights(model: Any, path: Path, skip: str = "", reshape: str = "", layers: Any = None) -> None:
    """Write weights as Keras 2 did, which is the form of idealo's file; one layer may be left out or reshaped."""
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = b"2.15.0"
        layers = [layer for layer in model.layers if layer.name != skip]
        file.attrs["layer_names"] = [layer.name.encode() for layer in layers]
        for layer in layers:
            group = file.create_group(layer.name)
            # Of a network within the network, Keras 2 wrote what is trained first.
            weights = [*layer.trainable_weights, *layer.non_trainable_weights]
            names = ["/".join(weight.path.split("/")[-2:]) + ":0" for weight in weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, weights, strict=True):
                value = np.asarray(weight)
                group.create_dataset(name, data=value[..., :1] if layer.name == reshape else value)


@pytest.mark.parametrize(
    ("shape", "form"),
    [
        ("flat", "Keras 2"), ("nested", "Keras 3"),
        pytest.param("flat", "Keras 3", marks=EXHAUSTIVE), pytest.param("nested", "Keras 2", marks=EXHAUSTIVE),
    ],
)  # fmt: skip
@pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, marks=EXHAUSTIVE if kind in {"V3Large", "EfficientNetB0"} else ()) for kind in WEIGHTS],
)
def test_weights_alone_find_their_network(kind: str, shape: str, form: str, tmp_path: Path) -> None:
    network = WEIGHTS[kind](flat if shape == "flat" else nested)
    path = tmp_path / "only.weights.h5"
    if form == "Keras 2":
        legacy_weights(network, path)
    else:
        network.save_weights(path)
    checkpoint = open_checkpoint(path)
    agrees(checkpoint, keras_says(network, PICTURE, *(RAW if kind == "EfficientNetB0" else SCALED)))
    assert checkpoint.source["architecture"].startswith(("MobileNet", "EfficientNetB0"))
    assert len(checkpoint.network.weights) == len(network.weights)


def test_an_efficientnet_begun_with_imagenet_keeps_its_second_division(tmp_path: Path) -> None:
    """Keras divides by the root of the deviations again where the base had ImageNet's weights; no weight shows it."""
    import keras

    first = keras.Input((224, 224, 3))
    plain = flat("EfficientNetB0", size=224)
    normal = next(layer for layer in plain.layers if type(layer).__name__ == "Normalization")
    mean, variance = [0.485, 0.456, 0.406], np.square([0.229, 0.224, 0.225])
    set_weights(normal, [np.array(mean), variance, np.array(0)])
    plain.save_weights(tmp_path / "imagenet.weights.h5")
    rest = keras.Model(normal.output, plain.output)
    divided = keras.layers.Rescaling((1 / np.sqrt([0.229, 0.224, 0.225])).tolist())
    whole = keras.Model(first, rest(divided(normal(keras.layers.Rescaling(1 / 255)(first)))))
    agrees(open_checkpoint(tmp_path / "imagenet.weights.h5"), keras_says(whole, PICTURE, *RAW))


def test_weights_of_another_size_are_taken_at_the_size_that_is_stated(tmp_path: Path) -> None:
    network = flat(size=128)
    network.save_weights(tmp_path / "small.weights.h5")
    agrees(open_checkpoint(tmp_path / "small.weights.h5", size=128), keras_says(network, sized(128)))


def test_weights_whose_layers_before_the_network_are_not_known_ask_for_the_range(tmp_path: Path) -> None:
    network = flat(before=rescaling(1 / 127.5, -1))
    network.save_weights(tmp_path / "own.weights.h5")
    with pytest.raises(RequestError, match=r"begins with rescaling.*--input-range"):
        open_checkpoint(tmp_path / "own.weights.h5")
    agrees(open_checkpoint(tmp_path / "own.weights.h5", input_range=SCALED), keras_says(network, PICTURE, *RAW))


def test_a_network_loaded_in_part_is_refused(tmp_path: Path) -> None:
    network = flat()
    legacy_weights(network, tmp_path / "gap.hdf5", skip="conv_pw_6_bn")
    with pytest.raises(CheckpointError, match=r"MobileNet alpha=0.25.*: no tensors for layer conv_pw_6_bn$"):
        open_checkpoint(tmp_path / "gap.hdf5")
    legacy_weights(network, tmp_path / "shape.hdf5", reshape="conv_pw_3")
    with pytest.raises(CheckpointError, match="layer conv_pw_3 has tensors"):
        open_checkpoint(tmp_path / "shape.hdf5")
    base().save_weights(tmp_path / "headless.weights.h5")
    with pytest.raises(CheckpointError, match=r"has no Dense\(10\) after a base that is known \(MobileNet, "):
        open_checkpoint(tmp_path / "headless.weights.h5")


# --- SavedModels -------------------------------------------------------------------------------------------------


def save_model(network: Any, folder: Path, batch: int | None = None, **signatures: str) -> None:
    """A SavedModel with a signature for each name; the value is the type of its input."""
    import tensorflow as tf

    def made(dtype: Any) -> Any:
        @tf.function(input_signature=[tf.TensorSpec((batch, 64, 64, 3), dtype, name="image")])
        def serve(image: Any) -> Any:
            return {"quality": network(tf.cast(image, tf.float32), training=False)}

        return serve

    module = tf.Module()
    module.network = network
    tf.saved_model.save(module, str(folder), signatures={name: made(dtype) for name, dtype in signatures.items()})


def test_a_signature_of_any_name_is_used_and_of_several_one_is_asked_for(tmp_path: Path) -> None:
    network = small()
    save_model(network, tmp_path / "one", image_quality="float32")
    checkpoint = open_checkpoint(tmp_path / "one")
    agrees(checkpoint, keras_says(network, sized(64)))
    assert checkpoint.notes[0] == "taking its only signature, image_quality"
    save_model(network, tmp_path / "two", image_quality="float32", pixels="uint8")
    with pytest.raises(RequestError, match="--signature image_quality or --signature pixels"):
        open_checkpoint(tmp_path / "two")
    agrees(open_checkpoint(tmp_path / "two", signature="image_quality"), keras_says(network, sized(64)))
    raw = open_checkpoint(tmp_path / "two", signature="pixels")
    agrees(raw, keras_says(network, sized(64), *RAW))
    assert raw.stated == "the model"


def test_a_saved_model_of_batch_one_that_scales_its_own_pixels(tmp_path: Path) -> None:
    network = small(rescaling(1 / 127.5, -1))
    save_model(network, tmp_path / "own", 1, serving_default="float32")
    checkpoint = open_checkpoint(tmp_path / "own")
    agrees(checkpoint, keras_says(network, sized(64), *RAW))
    assert checkpoint.stated == "the model"
    assert checkpoint.predict(np.stack([sized(64)] * 3)).shape == (3, 10)


# --- the user's environment, and real commands -------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must be refused with exit code 2 and one line; return the line."""
    capsys.readouterr()
    assert cli.run(["convert", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("edge-nima: ")
    return lines[0]


def test_what_is_no_checkpoint_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def bad(name: str, content: bytes) -> str:
        (tmp_path / name).write_bytes(content)
        return refused(capsys, str(tmp_path / name), "--out", str(tmp_path))

    network = small()
    network.save(tmp_path / "good.keras")
    network.save(tmp_path / "good.h5")
    assert "Git LFS pointer" in bad("lfs.h5", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "git lfs pull" in bad("lfs.keras", b"version https://git-lfs.github.com/spec/v1\n")
    assert "holds neither HDF5 nor a .keras archive" in bad("text.hdf5", b"not HDF5")
    assert "cut short" in bad("short.keras", (tmp_path / "good.keras").read_bytes()[:3000])
    assert "truncated" in bad("short.h5", (tmp_path / "good.h5").read_bytes()[:6000])
    assert "holds neither" in bad("empty.h5", b"")
    assert ".tflite already" in bad("x.h5", b"\x1c\0\0\0TFL3" + b"\0" * 90)
    with zipfile.ZipFile(tmp_path / "torch.pth", "w") as archive:
        archive.writestr("archive/data.pkl", b"")
    assert "PyTorch" in refused(capsys, str(tmp_path / "torch.pth"))
    with zipfile.ZipFile(tmp_path / "odd.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"module": "keras.layers", "class_name": "Conv9D", "config": {}}))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
    line = refused(capsys, str(tmp_path / "odd.keras"))
    assert "Conv9D" in line
    assert len(line) < 400
    assert list(tmp_path.glob("*.tflite")) == []


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", pytest.param("tensorflow", marks=EXHAUSTIVE)])
def test_the_users_keras_environment_does_not_matter(backend: str, tmp_path: Path) -> None:
    network = nested()
    network.save_weights(tmp_path / "weights.weights.h5")
    (tmp_path / ".keras").mkdir()
    (tmp_path / ".keras" / "keras.json").write_text(
        json.dumps({"floatx": "float16", "epsilon": 1e-7, "backend": backend, "image_data_format": "channels_first"})
    )
    environment = {**os.environ, "KERAS_BACKEND": backend, "KERAS_HOME": str(tmp_path / ".keras")}
    command = [
        sys.executable,
        "-m",
        "edge_nima",
        "convert",
        str(tmp_path / "weights.weights.h5"),
        "--recipe",
        "float32",
    ]
    done = subprocess.run([*command, "--out", str(tmp_path), "--name", "w"], env=environment, capture_output=True)
    assert done.returncode == 0, done.stderr
    Image.fromarray(PICTURE).save(tmp_path / "picture.png")
    mean = open_scorer(tmp_path / "w-float32.tflite").score(tmp_path / "picture.png").mean
    assert mean == pytest.approx(float(mean_rating(keras_says(network))), abs=1e-4)


def test_conversion_where_keras_runs_on_another_backend_is_refused() -> None:
    program = "import keras; from edge_nima_train.backend import start_tensorflow; start_tensorflow()"
    environment = {**os.environ, "KERAS_BACKEND": "jax"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert "Keras runs on jax in this process and conversion needs TensorFlow" in done.stderr.splitlines()[-1]


def full(size: int = 224, before: Any = None, **more: Any) -> Any:
    return flat(size=size, before=before, alpha=1.0, **more)


PUBLISHED: dict[str, tuple[Callable[[], Any], bool]] = {
    "plain.h5": (full, False),
    "maxpool.h5": (lambda: full(pooling="max"), False),
    "size160.h5": (lambda: full(160), False),
    "rescale255.h5": (lambda: full(before=rescaling(1 / 255)), True),
    "rescaling.keras": (lambda: full(before=rescaling(1 / 127.5, -1)), True),
    "nested.h5": (lambda: nested(alpha=1.0), False),
    "nested.keras": (lambda: nested(alpha=1.0), False),
    "mixed_float16.keras": (full, False),
    "swish.keras": (lambda: small(size=224), False),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=() if kind in {"plain.h5", "rescaling.keras", "nested.keras"} else EXHAUSTIVE)
        for kind in PUBLISHED
    ],
)
def test_converted_it_gives_the_score_that_keras_gives(kind: str, weights: Path, data: Path, tmp_path: Path) -> None:
    import keras

    make, raw = PUBLISHED[kind]
    plain = full()
    plain.load_weights(weights)

    def filled() -> Any:
        network = make()
        if "swish" not in kind:
            network.set_weights(plain.get_weights())
        return network

    network = filled()
    if "mixed" in kind:
        keras.config.set_dtype_policy("mixed_float16")
    try:
        filled().save(tmp_path / kind)
    finally:
        keras.config.set_dtype_policy("float32")
    photo = data / "golden" / "images" / "42040.jpg"
    arguments = ["convert", str(tmp_path / kind), "--recipe", "float32", "--out", str(tmp_path), "--name", "made"]
    assert cli.run(arguments) == 0
    scorer = open_scorer(tmp_path / "made-float32.tflite")
    pixels = read_input(photo, scorer.card.preprocessing)
    expected = float(mean_rating(keras_says(network, pixels, *(RAW if raw else SCALED))))
    assert scorer.score(photo).mean == pytest.approx(expected, abs=1e-4)
    if kind in {"plain.h5", "rescaling.keras", "nested.h5", "nested.keras", "mixed_float16.keras"}:
        assert expected == pytest.approx(4.2319, abs=1e-4)


# --- Keras 2 -----------------------------------------------------------------------------------------------------


def keras2(network: Any, path: Path) -> None:
    """A .keras file as TF 2.15 wrote it, made of what Keras 3 writes: the differences that Keras 3 does not bridge."""
    network.save(path.with_suffix(".new.keras"))
    with zipfile.ZipFile(path.with_suffix(".new.keras")) as new, zipfile.ZipFile(path, "w") as old:
        for name in new.namelist():
            content = new.read(name)
            if name == "config.json":
                content = json.dumps(_older(json.loads(content))).encode()
            if name == "metadata.json":
                content = json.dumps({"keras_version": "2.15.0"}).encode()
            old.writestr(name, content)


def _older(config: Any) -> Any:
    if isinstance(config, list):
        return [_older(item) for item in config]
    if not isinstance(config, dict):
        return config
    config = {key: _older(value) for key, value in config.items()}
    if config.get("module") == "keras.src.models.functional":
        config["module"] = "keras.src.engine.functional"
    inner = config.get("config", {})
    if config.get("class_name") == "DepthwiseConv2D":
        inner["groups"] = 1
    if config.get("class_name") == "BatchNormalization":
        inner["axis"] = [inner["axis"]]
        inner.pop("synchronized", None)
    for ends in ("input_layers", "output_layers"):
        if ends in inner:
            inner[ends] = [inner[ends]]
    return config


def test_a_keras_file_of_tf_2_15_is_read(tmp_path: Path) -> None:
    for number, network in enumerate((flat(), nested())):
        keras2(network, tmp_path / f"{number}.keras")
        agrees(open_checkpoint(tmp_path / f"{number}.keras"), keras_says(network))


def test_what_keras_3_reads_otherwise_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edge_nima_train import reading

    monkeypatch.setattr(reading, "find_spec", lambda name: None)
    keras2(small(activation="hard_sigmoid"), tmp_path / "hard.keras")
    with pytest.raises(
        CheckpointError, match=r"Keras 2\.15\.0, .*hard_sigmoid is another function.*: pip install tf-keras"
    ):
        open_checkpoint(tmp_path / "hard.keras")

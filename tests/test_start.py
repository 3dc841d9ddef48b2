"""What a run starts from: Keras' own files of ImageNet weights, given as a file, fetched, or put where Keras looks."""

from __future__ import annotations

import http.server
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from conftest import skip_without
from edge_nima.cli import run
from edge_nima.errors import CheckpointError, RequestError
from edge_nima_train.config import Config, Network
from edge_nima_train.network import build_network, features_of, imagenet_file
from edge_nima_train.start import start_network

skip_without("keras", "edge-nima[train]")

KINDS = [
    ("MobileNet", 0.75, 192), ("MobileNetV2", 0.35, 96), ("MobileNetV3Small", 1.0, 224), ("EfficientNetB0", 1.0, 224),
]  # fmt: skip
MORE = [
    ("MobileNet", 1.0, 224), ("MobileNet", 0.5, 100), ("MobileNet", 0.25, 128), ("MobileNetV2", 1.4, 64),
    ("MobileNetV3Large", 0.75, 160),
]  # fmt: skip
CONFIG = """
data = {{ manifest = "{folder}/m.csv", size = 40 }}
network = {{ input = 32, alpha = 0.25, weights = "{weights}" }}
phase1 = {{ epochs = 1, batch = 4, views = 1 }}
phase2 = {{ epochs = 0 }}
"""


def keras_file(folder: Path, architecture: str, alpha: float, input: int, top: bool = False) -> tuple[Path, Any]:
    """A file as Keras publishes them, of random weights and ImageNet's normalisation, and the base it is of."""
    import h5py
    import keras
    from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group

    more: dict[str, Any] = {"include_preprocessing": False} if "V3" in architecture else {}
    more |= {} if architecture == "EfficientNetB0" else {"alpha": alpha}
    kind, shape = getattr(keras.applications, architecture), (input, input, 3)
    base = kind(input_shape=shape, include_top=top, weights=None, **more)
    random = np.random.default_rng(0)
    for layer in base.layers:
        values = layer.get_weights()
        if type(layer).__name__ == "Normalization":
            values = [np.array([0.485, 0.456, 0.406]), np.square([0.229, 0.224, 0.225]), values[2]]
        elif type(layer).__name__ == "BatchNormalization":
            values = [random.uniform(0.5, 1.5, value.shape) for value in values]
        layer.set_weights(values)
    path = folder / imagenet_file(architecture, alpha, input)[0].replace("_no_top" if top else "\0", "")
    with h5py.File(path, "w") as file:
        save_weights_to_hdf5_group(file, base)
    return path, base


def started(weights: object, architecture: str = "MobileNet", alpha: float = 1.0, input: int = 224) -> Any:
    return start_network(Config(network=Network(architecture, alpha, input, 0.2, str(weights))))


@pytest.mark.parametrize(("architecture", "alpha", "input"), KINDS)
def test_keras_own_file_fills_the_base(architecture: str, alpha: float, input: int, tmp_path: Path) -> None:
    path, base = keras_file(tmp_path, architecture, alpha, input)
    network = started(path, architecture, alpha, input)
    for layer in base.layers:
        if layer.weights and type(layer).__name__ != "Normalization":
            ours = network.get_layer(layer.name)
            for a, b in zip(ours.get_weights(), layer.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
    assert np.ptp(network.layers[-1].get_weights()[0]) > 0


@pytest.fixture
def keras_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from keras.src.backend import config

    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(config, "_KERAS_DIR", str(tmp_path))
    (tmp_path / "models").mkdir()
    return tmp_path


@pytest.mark.parametrize("architecture", ["MobileNet", "EfficientNetB0"])
def test_a_file_is_what_imagenet_is(architecture: str, keras_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also the division that Keras repeats in a layer without weights."""
    from keras.src.applications import efficientnet

    monkeypatch.setitem(efficientnet.WEIGHTS_HASHES, "b0", (None, None))
    path, _ = keras_file(keras_home / "models", architecture, 1.0, 224)
    x = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)
    expected = np.asarray(features_of(started("imagenet", architecture))(x, training=False))
    said = np.asarray(features_of(started(path, architecture))(x, training=False))
    np.testing.assert_allclose(said, expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(expected) > 0.01


@pytest.mark.parametrize(("architecture", "alpha", "input"), [*KINDS, *MORE])
def test_the_name_and_address_of_a_file_are_those_that_keras_asks_for(
    architecture: str, alpha: float, input: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keras.src.utils import file_utils

    asked = list[tuple[str, str]]()

    def get_file(name: str, address: str, **_: Any) -> str:
        asked.append((name, address))
        raise Exception("URL fetch failure on x: None -- no network")

    monkeypatch.setattr(file_utils, "get_file", get_file)
    with pytest.raises(RequestError, match=r"cannot be fetched: no network; get .* or give it as network\.weights"):
        build_network(architecture, alpha=alpha, input=input, imagenet=True)
    name, folder = imagenet_file(architecture, alpha, input)
    assert asked == [(name, folder + name)]


def test_a_width_without_weights_is_not_a_failed_download() -> None:
    with pytest.raises(RequestError, match="alpha can be one of") as caught:
        build_network("MobileNet", alpha=0.6, imagenet=True)
    assert "fetched" not in str(caught.value)


@pytest.mark.slow
def test_training_begins_from_what_is_fetched_or_given_or_says_how_to_get_it(
    keras_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import keras
    from keras.src.applications import mobilenet

    def training(weights: object) -> list[str]:
        (tmp_path / "c.toml").write_text(CONFIG.format(folder=tmp_path, weights=weights))
        return ["train", "fit", "--config", str(tmp_path / "c.toml"), "--out", str(tmp_path / "run"), "--overwrite"]

    random, lines = np.random.default_rng(0), ["file,mean_rating,split"]
    for i in range(6):
        Image.fromarray(random.integers(0, 256, (40, 40, 3), dtype=np.uint8)).save(tmp_path / f"{i}.png")
        lines.append(f"{i}.png,{3 + i},{'val' if i > 3 else 'train'}")
    (tmp_path / "m.csv").write_text("\n".join(lines) + "\n")
    name, address = imagenet_file("MobileNet", 0.25, 32)
    served = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), served) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(mobilenet, "BASE_WEIGHT_PATH", f"http://127.0.0.1:{server.server_port}/")
        assert run(training("imagenet")) == 2
        told = capsys.readouterr().err.splitlines()[-1]
        for words in (f"get {name} from {address}{name}", f"put it into '{keras_home / 'models'}'", "File not found"):
            assert words in told
        path, base = keras_file(tmp_path, "MobileNet", 0.25, 224)
        for weights in ("imagenet", path):
            assert run(training(weights)) == 0
            network = keras.models.load_model(tmp_path / "run" / "model.keras", compile=False)
            kernels = (one.get_layer("conv1").get_weights()[0] for one in (network, base))
            np.testing.assert_array_equal(*kernels)
        server.shutdown()
    assert (keras_home / "models" / name).is_file()


@pytest.mark.parametrize("architecture", ["MobileNet", "MobileNetV3Small"])
def test_what_has_the_classes_of_imagenet_or_another_width_is_refused(architecture: str, tmp_path: Path) -> None:
    path, _ = keras_file(tmp_path, architecture, 1.0, 224, top=True)
    with pytest.raises(CheckpointError, match=r"1,000 classes.*no_top"):
        started(path, architecture)
    path, _ = keras_file(tmp_path, architecture, 0.75, 224)
    with pytest.raises(CheckpointError, match="another architecture or width"):
        started(path, architecture)

"""What many tests share. `tiny_*` are real models made in the session; `data` is the development data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "examples" / "photos"


@pytest.fixture(scope="session")
def data() -> Path:
    """The development data: photographs with ratings and float weights, not part of the repository."""
    folder = os.environ.get("EDGE_NIMA_DATA")
    if not folder:
        pytest.skip("needs the development data: EDGE_NIMA_DATA is not set")
    path = Path(folder)
    if not path.is_dir():
        pytest.fail(f"EDGE_NIMA_DATA is '{folder}', which is no folder")
    return path


@pytest.fixture(scope="session")
def weights(data: Path) -> Path:
    """idealo's MobileNet aesthetic weights."""
    return data / "weights" / "idealo_mobilenet_aesthetic_0.07.hdf5"


@pytest.fixture(scope="session")
def tiny_network() -> Any:
    """A Keras network of the right shape with random weights that does depend on its picture."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    keras = pytest.importorskip("keras", reason="needs edge-nima[convert]")
    keras.utils.set_random_seed(7)
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((224, 224, 3)),
            layers.Conv2D(8, 7, strides=4, activation="relu"),
            layers.SeparableConv2D(16, 3, strides=4, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax", kernel_initializer="he_normal"),
        ],
        name="tiny",
    )


@pytest.fixture(scope="session")
def tiny_keras(tiny_network: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That network as a .keras file."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.keras"
    tiny_network.save(path)
    return Path(path)


@pytest.fixture(scope="session")
def noise_photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty small different pictures, for calibrating tiny models."""
    import numpy as np
    from PIL import Image

    folder = tmp_path_factory.mktemp("calibration")
    random = np.random.default_rng(3)
    for i in range(20):
        coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((160, 120), Image.Resampling.BICUBIC).save(folder / f"{i:02}.png")
    return folder

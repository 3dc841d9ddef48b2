"""What many tests share. `tiny_*` are real models made in the session; `data` is the development data."""

from __future__ import annotations

import functools
import os
import signal
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from edge_nima.scorer import available_cores

ROOT = Path(__file__).parents[1]
PHOTOS = ROOT / "examples" / "photos"

# A shell ignores SIGINT for what it starts in the background, and children inherit that: they could not be interrupted.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# However long an example takes where others work too.
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")

TENSORFLOW = {
    f"test_{name}"
    for name in ("checkpoints", "cli_convert", "convert", "evaluation", "fit",
                 "golden", "predict", "quantise", "start", "train_checkpoint", "train_loss")
}  # fmt: skip
"""Modules whose tests start TensorFlow in their own process."""

LONGEST = ("gate_proof", "fit", "train_container", "emulated_pi", "faults", "convert", "cli_convert", "quantise")


def skip_without(package: str, of: str) -> None:
    """Skip the module that says it at its top. Unlike `pytest.importorskip` it does not import the package."""
    if find_spec(package) is None:
        pytest.skip(f"needs {of}", allow_module_level=True)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One worker a core; none for a test or file that is named, which starts sooner alone."""
    return 0 if any("::" in name or name.endswith(".py") for name in config.args) else available_cores()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no worker has it left when the others have ended."""
    places = {f"test_{name}": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


class Grouped(LoadScopeScheduling):
    """Sends a test to any worker, but for those that share what is dear: TensorFlow, or what their file makes once."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return _group(file) or nodeid


@functools.cache
def _group(file: str) -> str | None:
    path = ROOT / file
    if path.stem in TENSORFLOW:
        return "tensorflow"
    text = path.read_text(encoding="utf-8")
    return file if 'scope="module"' in text or "open_page" in text else None


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """In place of `--dist loadgroup`, which does nothing with pytest 9.2 and pytest-xdist 3.8."""
    return Grouped(config, log)


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


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    """Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path | None:
    """What the camera of the module's browser shows: the example photographs. None for a browser without a camera."""
    from phone_browser import slideshow

    return slideshow(tmp_path_factory.mktemp("film") / "film.y4m", 640, 480)


@pytest.fixture(scope="module")
def browser(started: Any, film: Path | None) -> Iterator[Any]:
    """Chromium, with the permission to use its camera."""
    from chromium import CHROMIUM, FLAGS
    from phone_browser import camera_flags

    browser = started.chromium.launch(executable_path=str(CHROMIUM), args=[*FLAGS, *camera_flags(film)])
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def served() -> Iterator[str]:
    """Address of the page for phones, as it was built."""
    from phone_browser import page_served

    with page_served() as url:
        yield url


@pytest.fixture
def open_page(browser: Any, served: str) -> Iterator[Callable[..., Any]]:
    """Opens the page for phones; all that were opened are closed at the end of the test."""
    from phone_browser import pages

    with pages(browser, served) as opener:
        yield opener

"""Opening what training wrote: the network, its pixels, and what it saw."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import skip_without
from edge_nima.distribution import mean_rating
from edge_nima.errors import CheckpointError, RequestError
from edge_nima.pixels import Preprocessing, read_input
from edge_nima_train.checkpoint import BATCH, open_checkpoint, run_of

skip_without("keras", "edge-nima[train]")


HOW = Preprocessing(filter="bilinear", antialias=True)


@pytest.fixture
def run(tiny_keras: Path, tmp_path: Path) -> Path:
    """A run folder as `train fit` leaves it."""
    folder = tmp_path / "my run"
    folder.mkdir()
    shutil.copy(tiny_keras, folder / "model.keras")
    (folder / "preprocessing.json").write_text(json.dumps(asdict(HOW)))
    (folder / "photographs.csv").write_text("image_id,file,sha256,split\n1,a.jpg,,train\n")
    return folder


def test_a_run_folder_says_how_it_wants_its_pixels_and_what_it_saw(run: Path) -> None:
    for path in (run, run / "model.keras"):
        trained = open_checkpoint(path)
        assert trained.name == "my-run"
        assert trained.preprocessing == HOW
        assert trained.stated == "the run"
        assert trained.run == run
        assert trained.trained_on is not None
        assert trained.trained_on[0].file == "a.jpg"


def test_batches_do_not_change_what_it_says(run: Path, tiny_network: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH + 3, 224, 224, 3), dtype=np.uint8)
    said = open_checkpoint(run).predict(pixels)
    assert said.shape == (BATCH + 3, 10)
    assert said.dtype == np.float32
    whole = np.asarray(tiny_network(pixels.astype(np.float32) * HOW.scale + HOW.offset, training=False))
    np.testing.assert_allclose(said, whole, atol=1e-5)
    assert open_checkpoint(run).predict(pixels[:0]).shape == (0, 10)


def test_a_file_alone_is_assumed_and_says_so_unless_all_is_stated(tiny_keras: Path) -> None:
    assert run_of(tiny_keras) is None
    alone = open_checkpoint(tiny_keras)
    assert (alone.stated, alone.preprocessing, alone.trained_on) == ("assumed", Preprocessing(), None)
    told = open_checkpoint(tiny_keras, filter="lanczos", fit="crop", input_range=(0, 1), name="mine")
    assert told.stated == "the command line"
    assert told.preprocessing == Preprocessing(filter="lanczos", antialias=True, fit="crop", scale=1 / 255, offset=0)
    assert told.label.startswith("mine@")


def test_a_run_is_not_told_otherwise(run: Path) -> None:
    with pytest.raises(RequestError, match="leave out --filter"):
        open_checkpoint(run, filter="nearest")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "does not say how"),
        (
            json.dumps({**HOW.to_json(), "width": 100, "height": 100}),
            "100x100 pixels, the network beside it takes 224x224",
        ),
        (json.dumps({**HOW.to_json(), "fliter": "nearest"}), "does not say how"),
        (json.dumps({**HOW.to_json(), "filter": "sharp"}), "possible"),
        ('{"filter": "nearest"}', "missing antialias"),
        ("[]", "does not say how"),
    ],
)
def test_a_damaged_preprocessing_is_named(run: Path, content: str, words: str) -> None:
    (run / "preprocessing.json").write_text(content)
    with pytest.raises(CheckpointError, match=words) as caught:
        open_checkpoint(run)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_network_says_what_is_missing(tmp_path: Path, run: Path) -> None:
    def refused(path: Path, words: str) -> None:
        with pytest.raises(CheckpointError, match=words) as caught:
            open_checkpoint(path)
        assert "\n" not in str(caught.value)

    refused(tmp_path / "none", "no such checkpoint")
    empty = tmp_path / "empty"
    os.makedirs(os.fsencode(empty) + b"/na\xefve")
    refused(empty, r"neither a SavedModel's saved_model\.pb nor a run's model\.keras")
    (run / "model.keras").rename(run / "last.keras")
    refused(run, r"no model\.keras yet")


def network(outputs: int, activation: str | None, shape: tuple[int | None, ...] = (32, 32, 3)) -> Any:
    import keras

    layers = keras.layers
    pooled = [layers.GlobalAveragePooling2D()] if len(shape) == 3 else []
    return keras.Sequential([layers.Input(shape), *pooled, layers.Dense(outputs, activation=activation)])


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ((9, "softmax"), r"\(9,\) values"),
        ((10, None), "softmax"),
        ((10, "softmax", (100,)), r"takes \(None, 100\)"),
        ((10, "softmax", (32, 32, 1)), "RGB photographs"),
    ],
)
def test_a_network_of_something_else_is_refused(tmp_path: Path, made: tuple[Any, ...], words: str) -> None:
    path = tmp_path / "other.keras"
    network(*made).save(path)
    with pytest.raises(CheckpointError, match=words):
        open_checkpoint(path)


def test_damaged_weights_are_not_scored_with(tmp_path: Path) -> None:
    made = network(10, "softmax")
    made.set_weights([np.full_like(w, np.nan) for w in made.get_weights()])
    made.save(tmp_path / "nan.keras")
    with pytest.raises(CheckpointError, match="damaged"):
        open_checkpoint(tmp_path / "nan.keras")


def test_idealos_weights_give_the_known_answer(weights: Path, data: Path) -> None:
    trained = open_checkpoint(weights)
    assert (trained.name, trained.stated, trained.known) == ("idealo-mobilenet-aesthetic", "the registry", True)
    assert trained.source["preprocessing_stated_by"] == "the registry"
    pixels = read_input(data / "golden" / "images" / "42040.jpg", trained.preprocessing)
    assert float(mean_rating(trained.predict(pixels[None])[0])) == pytest.approx(4.23187, abs=1e-4)


def test_what_is_said_beside_the_registry_is_recorded(weights: Path) -> None:
    how = open_checkpoint(weights).preprocessing
    assert (how.scale, how.offset, how.longest_edge, how.longest_edge_filter) == (1 / 127.5, -1.0, 640, "lanczos")
    changed = open_checkpoint(weights, filter="bilinear", longest_edge=0)
    assert changed.source["preprocessing_stated_by"] == changed.stated == "the command line"
    assert changed.preprocessing == Preprocessing(filter="bilinear", antialias=True)
    assert "the registry knows this checkpoint otherwise" in changed.notes[0]


def test_what_is_not_stated_of_a_file_is_assumed_and_noted(tiny_keras: Path) -> None:
    some = open_checkpoint(tiny_keras, filter="box", input_range=(0, 1), longest_edge=512)
    assert (some.stated, some.preprocessing.longest_edge) == ("assumed", 512)
    assert some.notes[0].startswith("assuming longest edge at most 512")
    assert open_checkpoint(tiny_keras, filter="box", fit="crop", input_range=(0, 1)).notes == ()

"""Our files in somebody else's runtime: MediaPipe Tasks' ImageClassifier, the real one."""

from __future__ import annotations

import importlib.util
import json
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import foreign_models
from edge_nima import open_scorer, registry
from edge_nima.pixels import read_input
from edge_nima.scorer import load_model

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("mediapipe") is None, reason="needs mediapipe (pip install mediapipe; .ci/run does)"
)

PHOTO = Path(__file__).parent.parent / "examples/photos/cat.jpg"
BUNDLED = [entry.name for entry in registry.entries() if entry.url is None]

# In an interpreter of its own: MediaPipe logs, warns and keeps threads as it likes.
CLASSIFY = """
import json, sys
import numpy as np
import mediapipe
from mediapipe.tasks.python import BaseOptions, vision
print("here", flush=True)
image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.load(sys.argv[1]))
for model in sys.argv[2:]:
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model), max_results=-1)
    try:
        with vision.ImageClassifier.create_from_options(options) as classifier:
            found = classifier.classify(image).classifications[0].categories
    except (NotImplementedError, ValueError) as error:
        print(json.dumps(str(error)))
    else:
        print(json.dumps({one.category_name: one.score for one in found}))
"""


def classified(pixels: NDArray[np.uint8], models: list[Path], folder: Path) -> list[Any]:
    """What MediaPipe gives by its labels, or why it does not."""
    np.save(folder / "pixels.npy", pixels)
    command = [sys.executable, "-c", CLASSIFY, str(folder / "pixels.npy"), *map(str, models)]
    done = subprocess.run(command, capture_output=True, text=True)
    if not done.stdout.startswith("here"):
        pytest.skip(f"mediapipe is here but does not load: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()[1:]]


def assert_same(found: dict[str, float], ours: Sequence[float]) -> None:
    assert set(found) == {str(rating) for rating in range(1, 11)}
    assert [found[str(rating)] for rating in range(1, 11)] == pytest.approx(ours, abs=1e-6)


def test_mediapipe_gives_the_same_ten_probabilities_by_the_same_labels(tmp_path: Path) -> None:
    models = [load_model(name) for name in BUNDLED]
    pixels = read_input(PHOTO, models[0].card.preprocessing)
    files = [tmp_path / f"{name}.tflite" for name in BUNDLED]
    for file, model in zip(files, models, strict=True):
        file.write_bytes(model.content)
    for name, found in zip(BUNDLED, classified(pixels, files, tmp_path), strict=True):
        assert_same(found, open_scorer(name).score(pixels).distribution)


def normalization(model: bytes) -> tuple[list[float], list[float], int]:
    """Mean, standard deviation and colour space, by MediaPipe's own code for the metadata."""
    from ai_edge_litert import schema_py_generated as schema

    spec = importlib.util.find_spec("mediapipe")
    assert spec is not None
    assert spec.origin is not None
    file = Path(spec.origin).parent / "tasks/metadata/metadata_schema_py_generated.py"
    metadata = SimpleNamespace(**runpy.run_path(str(file)))  # without the rest of it: sound, OpenCV, plots
    tree = schema.Model.GetRootAsModel(model, 0)
    (place,) = [tree.Metadata(i).Buffer() for i in range(tree.MetadataLength())
                if tree.Metadata(i).Name() == b"TFLITE_METADATA"]  # fmt: skip
    root = metadata.ModelMetadata.GetRootAs(tree.Buffers(place).DataAsNumpy().tobytes(), 0)
    (pixels,) = metadata.ModelMetadataT.InitFromObj(root).subgraphMetadata[0].inputTensorMetadata
    options = pixels.processUnits[0].options
    return list(options.mean), list(options.std), pixels.content.contentProperties.colorSpace


@pytest.mark.slow
def test_mediapipe_scales_a_foreign_model_as_we_do_or_says_what_it_lacks(tmp_path: Path) -> None:
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("needs edge-nima[convert]")
    from edge_nima_convert.foreign import with_card

    models = foreign_models.make(tmp_path)
    how = {"filter": "nearest", "input_range": (0, 1)}
    three = {**how, "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
    made = {}
    for name, model, stated in (
        ("one", "nhwc", {**how, "mean": 0.4, "std": 0.2}), ("three", "nhwc", three),
        ("bgr", "bgr", {**how, "channel_order": "BGR"}), ("planes", "nchw", how),
    ):  # fmt: skip
        content, _ = with_card(models / f"{model}.tflite", None, **stated)
        made[name] = tmp_path / f"{name}.tflite"
        made[name].write_bytes(content)
    mean, std, _ = normalization(made["three"].read_bytes())
    assert mean == pytest.approx([255 * 0.485, 255 * 0.456, 255 * 0.406])
    assert std == pytest.approx([255 * 0.229, 255 * 0.224, 255 * 0.225])
    mean, std, _ = normalization(made["one"].read_bytes())
    assert (mean, std) == (pytest.approx([102]), pytest.approx([51]))
    assert [normalization(made[name].read_bytes())[2] for name in ("one", "bgr")] == [1, 0]
    pixels = read_input(PHOTO, load_model(made["one"]).card.preprocessing)
    one, *others = classified(pixels, list(made.values()), tmp_path)
    assert_same(one, open_scorer(made["one"]).score(pixels).distribution)
    # It has no way to score these rightly, and scores none of them wrongly.
    for why, told in zip(others, ("Per-channel", "RGB color space", "depth = 3"), strict=True):
        assert told in why

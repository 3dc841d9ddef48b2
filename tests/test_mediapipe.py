"""Our files in somebody else's runtime: MediaPipe Tasks' ImageClassifier, the real one."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edge_nima import open_scorer, registry
from edge_nima.pixels import read_input
from edge_nima.scorer import load_model

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
    with vision.ImageClassifier.create_from_options(options) as classifier:
        found = classifier.classify(image).classifications[0].categories
    print(json.dumps({one.category_name: one.score for one in found}))
"""


def test_mediapipe_gives_the_same_ten_probabilities_by_the_same_labels(tmp_path: Path) -> None:
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("needs mediapipe (pip install mediapipe; .ci/run does)")
    models = [load_model(name) for name in BUNDLED]
    pixels = read_input(PHOTO, models[0].card.preprocessing)
    np.save(tmp_path / "pixels.npy", pixels)
    for name, model in zip(BUNDLED, models, strict=True):
        (tmp_path / f"{name}.tflite").write_bytes(model.content)
    files = [str(tmp_path / f"{name}.tflite") for name in BUNDLED]
    command = [sys.executable, "-c", CLASSIFY, str(tmp_path / "pixels.npy"), *files]
    done = subprocess.run(command, capture_output=True, text=True)
    if not done.stdout.startswith("here"):
        pytest.skip(f"mediapipe is here but does not load: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    for name, line in zip(BUNDLED, done.stdout.splitlines()[1:], strict=True):
        found = json.loads(line)
        assert set(found) == {str(rating) for rating in range(1, 11)}
        ours = open_scorer(name).score(pixels).distribution
        assert [found[str(rating)] for rating in range(1, 11)] == pytest.approx(ours, abs=1e-6)

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
options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=sys.argv[1]), max_results=-1)
pixels = np.load(sys.argv[2])
with vision.ImageClassifier.create_from_options(options) as classifier:
    image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=pixels)
    found = classifier.classify(image).classifications[0].categories
print(json.dumps({one.category_name: one.score for one in found}))
"""


@pytest.fixture(scope="module")
def mediapipe() -> None:
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("needs mediapipe (pip install mediapipe; .ci/run does)")
    done = subprocess.run(
        [sys.executable, "-c", "import mediapipe.tasks.python.vision"], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"mediapipe is here but does not load: {done.stderr.strip().splitlines()[-1]}")


@pytest.mark.usefixtures("mediapipe")
@pytest.mark.parametrize("name", BUNDLED)
def test_mediapipe_gives_the_same_ten_probabilities_by_the_same_labels(name: str, tmp_path: Path) -> None:
    file = load_model(name)
    pixels = read_input(PHOTO, file.card.preprocessing)
    np.save(tmp_path / "pixels.npy", pixels)
    (tmp_path / "model.tflite").write_bytes(file.content)
    done = subprocess.run(
        [sys.executable, "-c", CLASSIFY, str(tmp_path / "model.tflite"), str(tmp_path / "pixels.npy")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found) == {str(rating) for rating in range(1, 11)}
    ours = open_scorer(name).score(pixels).distribution
    assert [found[str(rating)] for rating in range(1, 11)] == pytest.approx(ours, abs=1e-6)

